"""An exported model computes and writes what the parameters do."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_runs import onnx
from small_model import CFG, noisy

import minigpt as mg
from minigpt.attention import Cache
from minigpt.export import export
from minigpt.model import new_caches
from minigpt.onnx_model import OnnxModel

TALES, TALES_CFG, TOK = mg.load("tales")
CLOSE = {"rtol": 0, "atol": 1e-4}
SHAPES = {
    "one-head": {"n_head": 1},
    "one-layer": {"n_layer": 1},
    "one-position": {"n_ctx": 1},
    "one-of-all": {"n_head": 1, "n_layer": 1, "n_ctx": 1, "n_embd": 1},
    "one-token": {"vocab_size": 1},
    "wide-heads": {"n_embd": 30, "n_head": 2},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """``(params, cfg, plain, cached)`` of each model, made when it is asked for."""
    folder, made = tmp_path_factory.mktemp("onnx"), {}

    def make(name):
        params, cfg, tok = noisy(CFG, np.float32), CFG, None
        if name == "tales":
            params, cfg, tok = TALES, TALES_CFG, TOK
        elif name == "untied":
            head = np.random.default_rng(1).standard_normal((13, 12), np.float32)
            params = params | {"lm_head": {"weight": head}}
        elif name in SHAPES:
            cfg = dataclasses.replace(CFG, **SHAPES[name])
            params = noisy(cfg, np.float32)
        pair = []
        for cache in (False, True):
            path = folder / f"{name}-{cache}.onnx"
            export(params, cfg, path, tok=tok, cache=cache)
            pair.append(OnnxModel(path, threads=1))
        return params, cfg, *pair

    def get(name):
        if name not in made:
            made[name] = make(name)
        return made[name]

    return get


ALL = pytest.mark.parametrize("name", ["tales", "small", "untied", *SHAPES])


def some_ids(cfg, B, T, seed=0):
    return np.random.default_rng(seed).integers(0, cfg.vocab_size, (B, T))


@ALL
def test_logits_are_those_of_gpt(models, name):
    params, cfg, plain, cached = models(name)
    for B in (1, 2, 3):
        for T in sorted({1, -(-cfg.n_ctx // 2), cfg.n_ctx}):
            ids = some_ids(cfg, B, T, seed=T)
            expected = mg.gpt(params, ids, cfg)
            for model in (plain, cached):
                logits = model(ids, cfg)
                assert logits.dtype == np.float32 and logits.shape == expected.shape
                np.testing.assert_allclose(logits, expected, **CLOSE)
                last = model(ids, cfg, last=True)
                np.testing.assert_allclose(last, expected[:, -1:], **CLOSE)


@ALL
def test_in_pieces_with_a_cache(models, name):
    params, cfg, plain, cached = models(name)
    ids = some_ids(cfg, 2, cfg.n_ctx)
    expected = mg.gpt(params, ids, cfg)
    cuts = sorted(
        {min(n, cfg.n_ctx) for n in (1, 2, 5, cfg.n_ctx - 1)} - {0, cfg.n_ctx}
    )
    for model in (plain, cached):
        caches = new_caches(cfg)
        parts = np.split(ids, cuts, axis=1)
        logits = [model(part, cfg, caches=caches) for part in parts]
        np.testing.assert_allclose(np.concatenate(logits, 1), expected, **CLOSE)
        assert {cache.length for cache in caches} == {cfg.n_ctx}


def test_keys_and_values_are_those_of_gpt(models):
    params, cfg, _, cached = models("tales")
    ours, theirs = new_caches(cfg), new_caches(cfg)
    for ids in np.split(some_ids(cfg, 3, 12), (7, 8), axis=1):
        mg.gpt(params, ids, cfg, caches=ours)
        cached(ids, cfg, caches=theirs, last=True)
    for a, b in zip(ours, theirs, strict=True):
        assert b.keys.shape == b.values.shape == (3, 8, 12, 16)
        np.testing.assert_allclose(b.keys, a.keys[:, :, :12], **CLOSE)
        np.testing.assert_allclose(b.values, a.values[:, :, :12], **CLOSE)
    for cache in theirs:
        cache.length = 5  # rewound, as the book does
    ids = some_ids(cfg, 3, 12)
    again = cached(ids[:, 5:], cfg, caches=theirs)
    np.testing.assert_allclose(again, mg.gpt(params, ids, cfg)[:, 5:], **CLOSE)


def test_a_cache_that_numpy_filled_goes_on_under_onnx(models):
    params, cfg, _, cached = models("tales")
    ids = some_ids(cfg, 2, 20)
    caches = new_caches(cfg, padding=np.array([0, 4]))
    mg.gpt(params, ids[:, :15], cfg, caches=caches)
    logits = cached(ids[:, 15:], cfg, caches=caches)
    whole = new_caches(cfg, padding=np.array([0, 4]))
    expected = mg.gpt(params, ids, cfg, caches=whole)[:, 15:]
    np.testing.assert_allclose(logits, expected, **CLOSE)


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    right=st.booleans(),
    cut=st.integers(0, 8),
    seed=st.integers(0, 9),
)
def test_padding_on_either_side_changes_no_token(models, lengths, right, cut, seed):
    """By the graph's own inputs: each row padded to the longest, at once or in two."""
    params, cfg, plain, cached = models("small")
    rows = [some_ids(cfg, 1, n, seed + n)[0] for n in lengths]
    longest = max(lengths)
    sides = [(0, longest - n) if right else (longest - n, 0) for n in lengths]
    noise = {"mode": "constant", "constant_values": seed}
    ids = np.array([np.pad(r, s, **noise) for r, s in zip(rows, sides, strict=True)])
    ones = [np.pad(np.ones_like(r), s) for r, s in zip(rows, sides, strict=True)]
    mask = np.array(ones)
    feed = {"input_ids": ids, "attention_mask": mask}
    (whole,) = plain.session.run(["logits"], feed)
    pieces, past = [], {}
    names = [o.name for o in cached.session.get_outputs()]
    for i in range(cfg.n_layer):
        for kind in ("key", "value"):
            empty = np.empty((len(rows), cfg.n_head, 0, 4), np.float32)
            past[f"past_key_values.{i}.{kind}"] = empty
    for part in np.split(ids, [min(cut, longest)], axis=1):
        done = sum(p.shape[1] for p in pieces)
        seen = {"attention_mask": mask[:, : done + part.shape[1]]}
        if part.shape[1]:
            logits, *new = cached.session.run(names, past | seen | {"input_ids": part})
            past = dict(zip(past, new, strict=True))
            pieces.append(logits)
    for logits in (whole, np.concatenate(pieces, axis=1)):
        assert np.isfinite(logits).all()
        for row, side, out in zip(rows, sides, logits, strict=True):
            expected = mg.gpt(params, row[None], cfg)[0]
            real = out[side[0] : len(out) - side[1]]
            np.testing.assert_allclose(real, expected, **CLOSE)


def test_new_tokens_after_padding_on_the_right(models):
    params, cfg, _, cached = models("small")
    ids = np.array([[5, 2, 0, 0], [1, 2, 3, 4]])
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
    feed = {"input_ids": ids, "attention_mask": mask}
    empty = np.empty((2, 3, 0, 4), np.float32)
    inputs = [i.name for i in cached.session.get_inputs()]
    past = {n: empty for n in inputs if n.startswith("past")}
    _, *new = cached.session.run(None, feed | past)
    step = {"input_ids": np.array([[7], [7]])}
    step["attention_mask"] = np.concatenate([mask, [[1], [1]]], axis=1)
    logits, *_ = cached.session.run(None, step | dict(zip(past, new, strict=True)))
    for row, text in enumerate(([5, 2, 7], [1, 2, 3, 4, 7])):
        expected = mg.gpt(params, [text], cfg)[0, -1]
        np.testing.assert_allclose(logits[row, 0], expected, **CLOSE)


STRATEGIES = [
    {"temperature": 0},
    {"temperature": 0.8, "seed": 1},
    {"top_k": 5, "seed": 2},
    {"top_p": 0.9, "seed": 3},
    {"temperature": 1.3, "top_k": 20, "top_p": 0.8, "seed": 4},
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: "-".join(s))
def test_text_is_the_same_with_every_strategy(models, strategy):
    params, cfg, plain, cached = models("tales")
    prompts = ("Once", "Once upon a time there was a girl called Mia.", "Tom")
    prompts = [[TOK.eot, *TOK.encode(prompt)] for prompt in prompts]
    for prompt in (prompts[0], prompts):
        expected = mg.generate(params, prompt, cfg, 110, **strategy)
        for model in (plain, cached):
            out = mg.generate(model, prompt, cfg, 110, **strategy)
            for a, b in zip(expected, out, strict=True):
                np.testing.assert_array_equal(a, b)
    one = [TOK.eot]
    told = list(mg.stream(params, one, cfg, 30, **strategy))
    assert told == list(mg.stream(cached, one, cfg, 30, **strategy))


def test_a_long_prompt_in_pieces(models, monkeypatch):
    import importlib

    monkeypatch.setattr(importlib.import_module("minigpt.generate"), "PIECE", 3)
    params, cfg, plain, cached = models("small")
    for prompt in (some_ids(cfg, 1, 7)[0], some_ids(cfg, 2, 20)):
        expected = mg.generate(params, prompt, cfg, 12, temperature=0)
        for model in (plain, cached):
            for cache in (True, False):
                out = mg.generate(model, prompt, cfg, 12, temperature=0, cache=cache)
                np.testing.assert_array_equal(out, expected)


def test_the_file_is_whole_by_itself(models):
    _, _, plain, cached = models("tales")
    for model in (plain, cached):
        assert model.cfg == TALES_CFG and model.tok == TOK
    assert not plain.cached and cached.cached
    assert repr(cached) == "<OnnxModel tales-True, with a cache>"
    assert models("small")[2].tok is None


def test_what_cannot_be_read_gets_a_sentence(models):
    _, cfg, plain, cached = models("small")
    for model in (plain, cached):
        for ids, said in (
            (np.zeros((1, 9), int), "8 positions .* cannot read 9 tokens"),
            (np.zeros(3, int), r"shape \(3,\)"),
            (np.zeros((1, 0), int), r"at least one.*\(1, 0\)"),
            (np.zeros((1, 2)), "these are float64"),
            ([[0, 13]], "0 to 12, and these from 0 to 13"),
            ([[-1, 3]], "from -1 to 3"),
        ):
            with pytest.raises(ValueError, match=said):
                model(ids, cfg)
        caches = [Cache(4), Cache(4)]
        model([[1, 2, 3]], cfg, caches=caches)
        with pytest.raises(ValueError, match="holds 4 positions and cannot take 5"):
            model([[1, 2]], cfg, caches=caches)
        caches = new_caches(cfg)
        model([[1] * 8], cfg, caches=caches)
        with pytest.raises(ValueError, match="cannot read 9 tokens"):
            model([[1]], cfg, caches=caches)
        assert caches[0].length == 8


def test_other_files_get_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere\.onnx"):
        OnnxModel(tmp_path / "nowhere.onnx")
    path = tmp_path / "a.onnx"
    path.write_text("no graph")
    with pytest.raises(ValueError, match=r"a\.onnx is no ONNX graph that ONNX Runtime"):
        OnnxModel(path)
    params = noisy(CFG, np.float32)
    export(params, CFG, path, external_data=True)
    whole = OnnxModel(path)([[1, 2]], CFG)
    np.testing.assert_allclose(whole, mg.gpt(params, [[1, 2]], CFG), **CLOSE)
    (tmp_path / "a.onnx.data").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.onnx\.data, .* copy both files"):
        OnnxModel(path)
    export(params, CFG, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="or is damaged"):
        OnnxModel(path)
    foreign = onnx.load_from_string(content)
    del foreign.metadata_props[:]
    onnx.save(foreign, path)
    with pytest.raises(ValueError, match="minigpt did not write"):
        OnnxModel(path)


def test_without_the_library(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"onnxruntime.*\.\[onnx\]"):
        OnnxModel(tmp_path / "a.onnx")


def test_as_many_threads_as_numpy(tmp_path):
    from threadpoolctl import threadpool_limits

    export(noisy(CFG, np.float32), CFG, tmp_path / "a.onnx")
    for n in (1, 2):
        with threadpool_limits(n, "blas"):
            options = OnnxModel(tmp_path / "a.onnx").session.get_session_options()
            assert options.intra_op_num_threads == n


@pytest.mark.slow
def test_gpt2_of_124_million_parameters(tmp_path):
    cfg = mg.Config.preset("gpt2")
    params = mg.init(cfg, seed=0)
    off, expected = {}, {}
    shapes = [(1, 1), (2, 17), (1, 300), (3, 64)]
    for shape in shapes:
        expected[shape] = mg.gpt(params, some_ids(cfg, *shape), cfg)
    prompt = some_ids(cfg, 1, 20)[0]
    text = mg.generate(params, prompt, cfg, 30, temperature=0)
    for cache in (False, True):
        path = tmp_path / f"{cache}.onnx"
        export(params, cfg, path, cache=cache)
        model = OnnxModel(path)
        path.unlink()
        for shape in shapes:
            logits = model(some_ids(cfg, *shape), cfg)
            off[shape] = float(np.abs(logits - expected[shape]).max())
        print(json.dumps({str(shape): f"{d:.1e}" for shape, d in off.items()}))
        assert max(off.values()) < 1e-4
        out = mg.generate(model, prompt, cfg, 30, temperature=0)
        np.testing.assert_array_equal(out, text)
