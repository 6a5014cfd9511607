"""OpenAI's TensorFlow checkpoints: read as TensorFlow wrote them, damage is named."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from bundle_writer import (
    CFG,
    WRITTEN,
    as_hugging_face,
    checkpoint_arrays,
    entry,
    field,
    same,
    write_bundle,
    write_index,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import minigpt as mg
from minigpt import crc32c, tree
from minigpt.tensorflow_bundle import hugging_face_name, read_bundle


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path, checkpoint_arrays())


def test_our_writer_writes_what_tensorflow_wrote(bundle):
    for name, sha256 in WRITTEN.items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == sha256, name


# ---------------------------------------------------------------- what is read


def test_a_checkpoint_is_read(bundle):
    flat, n_head = read_bundle(bundle)
    assert n_head == 2
    same(flat, checkpoint_arrays())
    assert flat["h.1.attn.c_attn.weight"].shape == (8, 24)


def test_it_is_the_model_that_was_saved(bundle):
    params, cfg = mg.load_gpt2(bundle)
    expected = tree.unflatten(as_hugging_face(checkpoint_arrays()))
    ids = np.array([[3, 1, 4, 1, 5]])
    assert cfg == CFG
    np.testing.assert_array_equal(mg.gpt(params, ids, cfg), mg.gpt(expected, ids, CFG))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions(tmp_path, dtype):
    flat = checkpoint_arrays(dtype=dtype)
    same(read_bundle(write_bundle(tmp_path, flat))[0], flat)


def test_names():
    names = {
        "model/wte": "wte.weight",
        "model/ln_f/g": "ln_f.weight",
        "model/h47/mlp/c_proj/b": "h.47.mlp.c_proj.bias",
        "model/head/w": "head.weight",
    }
    assert {n: hugging_face_name(n) for n in names} == names


@pytest.mark.parametrize("block_size", [1, 100, 300])
def test_an_index_of_many_blocks(tmp_path, block_size):
    flat = checkpoint_arrays()
    same(read_bundle(write_bundle(tmp_path, flat, block_size=block_size))[0], flat)


def test_an_optimizer_and_its_steps_are_left_out(tmp_path):
    flat = checkpoint_arrays()
    more = {
        "global_step": entry(np.zeros((), np.float32), 0, dtype=9),
        "model/wte/Adam": entry(flat["model/wte"], 10**9),
        "beta1_power": entry(np.zeros((), np.float32), 10**9),
    }
    same(read_bundle(write_bundle(tmp_path, flat, entries=more))[0], flat)


def test_the_file_checkpoint_says_which_state(bundle):
    flat = {n: a + 1 for n, a in checkpoint_arrays().items()}
    write_bundle(bundle, flat, prefix="model-1000")
    same(read_bundle(bundle)[0], flat)
    elsewhere = 'model_checkpoint_path: "/home/me/runs\\\\a/model-1000"\n'
    (bundle / "checkpoint").write_text(elsewhere)
    same(read_bundle(bundle)[0], flat)
    (bundle / "checkpoint").unlink()
    same(read_bundle(bundle)[0], checkpoint_arrays())  # as OpenAI's is called


def test_two_data_files(bundle):
    flat, entries = checkpoint_arrays(), []
    for shard, names in enumerate([sorted(flat)[::2], sorted(flat)[1::2]]):
        data = b""
        for name in names:
            entries.append((name.encode(), entry(flat[name], len(data), shard=shard)))
            data += flat[name].tobytes()
        (bundle / f"model.ckpt.data-0000{shard}-of-00002").write_bytes(data)
    pairs = [(b"", field(1, 2)), *sorted(entries)]
    write_index(bundle / "model.ckpt.index", pairs)
    same(read_bundle(bundle)[0], flat)
    (bundle / "model.ckpt.data-00001-of-00002").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks model\.ckpt\.data-00001"):
        read_bundle(bundle)


def test_memory_while_reading(tmp_path):
    cfg = mg.Config(vocab_size=2000, n_ctx=6, n_embd=128, n_layer=4, n_head=2)
    flat = checkpoint_arrays(cfg)
    write_bundle(tmp_path, flat)
    crc32c.crc32c(b"")  # its tables are made once
    tracemalloc.start()
    read, _ = read_bundle(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 1.15 * sum(a.nbytes for a in read.values())


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["hparams.json", "model.ckpt.index"])
def test_files_that_are_missing(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {name}, a part of the checkp"):
        read_bundle(bundle)


@pytest.mark.parametrize("content", ["{", "[1]", '{"n_layer": 2}'])
def test_hyperparameters_without_heads(bundle, content):
    (bundle / "hparams.json").write_text(content)
    with pytest.raises(ValueError, match=r"hparams\.json names no n_head"):
        read_bundle(bundle)


def test_a_data_file_cut_short(bundle):
    path = bundle / "model.ckpt.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-1])
    sentence = r"cut short: wte.weight ends at byte 7,584, and it has 7,583"
    with pytest.raises(ValueError, match=sentence):
        read_bundle(bundle)


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_byte_of_a_tensor_is_noticed(tmp_path_factory, data):
    folder = write_bundle(tmp_path_factory.mktemp("bundle"), checkpoint_arrays())
    path = folder / "model.ckpt.data-00000-of-00001"
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"00001 is damaged: the checksum of .* wrong"):
        read_bundle(folder)


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_index_never_gives_other_numbers(tmp_path_factory, data):
    folder = write_bundle(tmp_path_factory.mktemp("bundle"), checkpoint_arrays())
    path = folder / "model.ckpt.index"
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    if place < 700:  # names and entries; after them come parts that are not used
        with pytest.raises(ValueError, match=r"index is damaged or was cut short: the"):
            read_bundle(folder)
    else:
        try:
            same(read_bundle(folder)[0], checkpoint_arrays())
        except ValueError as error:
            assert "index is damaged or was cut short" in str(error)


@settings(deadline=None)
@given(keep=st.integers(0, 918))
def test_an_index_cut_short(tmp_path_factory, keep):
    folder = write_bundle(tmp_path_factory.mktemp("bundle"), checkpoint_arrays())
    path = folder / "model.ckpt.index"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"index is damaged or was cut short: it does"):
        read_bundle(folder)


def test_formats_that_are_not_read(tmp_path):
    flat = checkpoint_arrays()
    text = {"model/note": entry(flat["model/wpe"], 0, dtype=7)}
    sliced = {"model/wte": entry(flat["model/wte"], 0, more=field(7, b""))}
    unequal = {"model/wte": entry(flat["model/wte"][:5], 0) + field(5, 8)}
    for changes, sentence in [
        ({"header": field(2, 1)}, "comes from a big-endian machine"),
        ({"kind": 1}, "index is damaged or was cut short: it is compressed"),
        ({"entries": text}, "note, of TensorFlow's type 7 and shape"),
        ({"entries": sliced}, "wte.weight, .* is not stored as one block"),
        ({"entries": unequal}, "wte.weight, .* is not stored as one block"),
    ]:
        write_bundle(tmp_path, flat, **changes)
        with pytest.raises(ValueError, match=sentence):
            read_bundle(tmp_path)
