"""Models by name: found, downloaded from a mirror, loaded with their tokenizers."""

import dataclasses
import hashlib

import numpy as np
import pytest
from bundle_writer import CFG as OPENAI
from bundle_writer import as_hugging_face, checkpoint_arrays, write_bundle
from file_server import serve_folder
from gpt2_folders import SMALL, WHOLE, merged, write_gpt2, write_tokenizer
from small_model import noisy, same

import minigpt as mg
from minigpt import data, download, models, tree
from minigpt.model import PRESETS

SUMS = {  # of model.safetensors, as the hub's pages state them
    "gpt2": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    "gpt2-medium": "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd",
    "gpt2-large": "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce",
    "gpt2-xl": "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No models, no data, no network: and nothing of this machine's."""
    for name in ("MINIGPT_MODELS", "MINIGPT_DATA", "MINIGPT_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(data, "_download", None)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def gpt2_data(tmp_path, monkeypatch):
    """A folder for MINIGPT_DATA with small files in the place of GPT-2's."""
    folder = tmp_path / "data"
    write_tokenizer(folder / "gpt2", "x y", ("vocab.bpe", "encoder.json"))
    for name in ("gpt2/vocab.bpe", "gpt2/encoder.json"):
        sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        source = dataclasses.replace(data.REGISTRY[name], sha256=sha256)
        monkeypatch.setitem(data.REGISTRY, name, source)
    return folder


@pytest.fixture
def mirror(tmp_path, monkeypatch, gpt2_data):
    """``(address, asked)`` of a mirror that has a small model as gpt2, and its sums."""
    root = tmp_path / "served" / "openai-community" / "gpt2" / "resolve" / "main"
    write_gpt2(root)
    write_tokenizer(root, "x y")
    sha256 = hashlib.sha256((root / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setitem(models.PUBLISHED, "gpt2", (0.55, sha256))
    with serve_folder(tmp_path / "served") as served:
        yield served


# ---------------------------------------------------------------- names and places


def test_names():
    assert {name: sum for name, (_, sum) in models.PUBLISHED.items()} == SUMS
    assert {*models.NAMES} == {"tales", *PRESETS}
    for alias, name in models.ALIASES.items():
        assert PRESETS[alias] == PRESETS[name]
    for name, (gigabytes, _) in models.PUBLISHED.items():
        C, L = PRESETS[name][2], PRESETS[name][0]
        parameters = (50257 + 1024) * C + L * (12 * C * C + 13 * C) + 2 * C
        masks = L * 1024 * 1024  # which the hub's files hold as well
        assert gigabytes == round(4 * (parameters + masks) / 1e9, 2)


def test_the_folder_of_models(tmp_path, monkeypatch):
    assert models.folder() == tmp_path / "cache" / "models"
    monkeypatch.setenv("MINIGPT_MODELS", "from the environment")
    assert str(models.folder()) == "from the environment"
    assert models.folder(tmp_path / "given") == tmp_path / "given"


def test_models_are_found_by_name_and_by_path(tmp_path):
    write_gpt2(tmp_path / "mine" / "gpt2-medium")
    for name in ("gpt2-medium", "355M"):
        assert models.find(name, tmp_path / "mine") == tmp_path / "mine" / "gpt2-medium"
    for path in (tmp_path / "mine" / "gpt2-medium", tmp_path / "mine"):
        assert models.find(path) == models.find(str(path)) == path
    with pytest.raises(FileNotFoundError, match=r"no model 'gpt3': give one of tales,"):
        models.find("gpt3")


def test_a_model_that_is_not_here(tmp_path):
    place = tmp_path / "cache" / "models" / "gpt2-xl"
    with pytest.raises(FileNotFoundError) as error:
        models.find("1558M")
    for part in ("gpt2-xl is not here", "minigpt download gpt2-xl", "6.43 GB", place):
        assert str(part) in str(error.value)
    place.mkdir(parents=True)
    (place / "model.safetensors.part").touch()
    with pytest.raises(FileNotFoundError, match=r"not whole yet: .* goes on with its"):
        models.find("gpt2-xl")


def test_a_name_is_no_folder_that_happens_to_be_here(tmp_path):
    write_gpt2(tmp_path / "gpt2")
    write_gpt2(tmp_path / "tales")
    with pytest.raises(FileNotFoundError, match=r"\(or give the path \./gpt2\)"):
        models.find("gpt2")
    assert models.find("./gpt2").samefile(tmp_path / "gpt2")
    assert same(models.load("tales")[0], mg.load(models.find("tales"))[0])
    assert models.load("tales")[1].n_layer > 1


# ---------------------------------------------------------------- downloads


def test_a_model_is_downloaded_once_and_loaded(mirror, tmp_path):
    address, asked = mirror
    for _ in range(2):
        place = models.download("124M", tmp_path / "m", mirror=address, progress=False)
    assert place == tmp_path / "m" / "gpt2"
    files = ["config.json", "merges.txt", "model.safetensors", "vocab.json"]
    assert sorted(p.name for p in place.iterdir()) == files
    path = "/openai-community/gpt2/resolve/main/"
    assert sorted(asked) == [path + file for file in files]
    assert asked[-1].endswith("safetensors")  # what is small comes first
    params, cfg, tok = models.load("gpt2", tmp_path / "m")
    assert same(params, noisy(SMALL, np.float32)) and cfg == SMALL
    assert merged(tok) == "xy"


def test_what_is_missing_or_wrong_is_noticed(mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIGPT_MIRROR", mirror[0] + "/")
    monkeypatch.setenv("MINIGPT_MODELS", str(tmp_path / "m"))
    place = models.download("gpt2")
    assert "model.safetensors: 100%" in capsys.readouterr().err
    assert not [path for path in mirror[1] if "//" in path]
    mirror[1].clear()
    (place / "vocab.json").unlink()
    models.download("gpt2", progress=False)
    assert [path.rpartition("/")[2] for path in mirror[1]] == ["vocab.json"]
    for name in ("merges.txt", "model.safetensors"):
        content = (place / name).read_bytes()
        (place / name).write_bytes(content + b"x")
        with pytest.raises(ValueError, match=rf"{name} is not the published file"):
            models.download("gpt2", progress=False)
        (place / name).write_bytes(content)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", SUMS)
def test_the_public_address_and_sums(name, tmp_path, monkeypatch):
    asked = {}

    def fetch(url, path, sha256, progress):
        asked[url] = sha256
        assert path == tmp_path / name / url.rpartition("/")[2]

    monkeypatch.setattr(download, "fetch", fetch)
    assert models.download(name, tmp_path) == tmp_path / name
    files = ("gpt2/vocab.bpe", "gpt2/encoder.json")
    known = [data.REGISTRY[file].sha256 for file in files]
    merges, vocab = known if name != "gpt2-large" else (None, None)
    hub = f"https://huggingface.co/openai-community/{name}/resolve/main"
    assert asked == {
        f"{hub}/config.json": None,
        f"{hub}/merges.txt": merges,
        f"{hub}/vocab.json": vocab,
        f"{hub}/model.safetensors": SUMS[name],
    }


def test_what_cannot_be_downloaded(tmp_path):
    with pytest.raises(ValueError, match=r"'gpt4' cannot be downloaded: choose of"):
        models.download("gpt4")
    with pytest.raises(ValueError, match="since tales comes with the package"):
        models.download("tales")
    with pytest.raises(ValueError, match=r"like https://\S+, and this is 'example"):
        models.download("gpt2", mirror="example.org")
    with pytest.raises(OSError, match=r"config\.json could not be fetched from"):
        models.download("gpt2", mirror="http://127.0.0.1:9", progress=False)
    assert [*tmp_path.rglob("*.part*")] == []


# ---------------------------------------------------------------- layouts


def test_models_of_our_own(tmp_path):
    tok = mg.CharTokenizer("abc")
    mg.save(tmp_path / "mine", noisy(SMALL, np.float32), SMALL, tok)
    for path in ("mine", tmp_path / "mine" / "model.safetensors"):
        params, cfg, loaded = models.load(path)
        assert same(params, noisy(SMALL, np.float32)) and cfg == SMALL
        assert loaded.encode("cab") == tok.encode("cab")


@pytest.mark.parametrize("path", ["theirs", "theirs/model.safetensors"])
def test_hugging_faces_layout(tmp_path, path):
    params = write_gpt2(tmp_path / "theirs")
    write_tokenizer(tmp_path / "theirs")
    loaded, cfg, tok = models.load(path)
    assert same(loaded, params) and cfg == SMALL
    assert merged(tok) == "ab"  # their tokenizer.json is not taken for ours


def test_openais_layout(tmp_path):
    write_bundle(tmp_path, checkpoint_arrays())
    params, cfg, tok = models.load(tmp_path)
    assert cfg == OPENAI and tok is None
    assert {*tree.flatten(params)} == {*as_hugging_face(checkpoint_arrays())}
    write_tokenizer(tmp_path, names=("vocab.bpe", "encoder.json"))
    with pytest.raises(ValueError, match=r"has 258 tokens, and the model knows 11"):
        models.load(tmp_path)


def test_our_tokenizer_beside_foreign_weights_comes_first(tmp_path):
    write_gpt2(tmp_path)
    write_tokenizer(tmp_path)
    mg.CharTokenizer("abc").save(tmp_path / "tokenizer.json")
    assert models.load(tmp_path)[2].encode("cab") == [2, 0, 1]


@pytest.mark.parametrize("ours", [True, False])
def test_gpt2s_tokenizer_where_none_lies_beside(tmp_path, monkeypatch, gpt2_data, ours):
    for cfg in (SMALL, WHOLE):
        folder = tmp_path / str(cfg.vocab_size)
        write_gpt2(folder, cfg)
        (folder / "tokenizer.json").unlink()
        if ours:
            mg.save(folder, noisy(cfg, np.float32), cfg)
    assert models.load("258")[2] is None  # as many tokens as GPT-2 has not
    assert models.load("50257")[2] is None
    monkeypatch.setenv("MINIGPT_DATA", str(gpt2_data))
    assert merged(models.load("50257")[2]) == "xy"
    monkeypatch.delenv("MINIGPT_DATA")
    gpt2_data.rename(tmp_path / "cache")
    assert merged(models.load("50257")[2]) == "xy"
    write_tokenizer(tmp_path / "50257")
    assert merged(models.load("50257")[2]) == "ab"  # but what lies beside comes first


def test_a_run_that_is_not_finished(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint-00000003.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"run is a training run .*--resume"):
        models.load("run")


def test_weights_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds no GPT-2: neither"):
        models.load("empty")
    (tmp_path / "model.pt").touch()
    with pytest.raises(ValueError, match=r"model\.pt holds its weights as a pickle"):
        models.load("model.pt")
