"""Our GPT-2 beside Hugging Face's: what it saves we read, and compute the same.

Every model's weights are large enough to matter (see `weights` in
golden/make_golden.py), are poured into a ``GPT2LMHeadModel`` by name, written by its
own ``save_pretrained`` and read by ``load_gpt2``.
"""

import json
import shutil

import numpy as np
import pytest
from golden.make_golden import (
    CASES,
    FOLDER,
    bits_to_numbers,
    greedy,
    logits_loss_gradients,
    logits_of,
    numbers,
    reference,
    tokens,
    weights,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_model import import_or_skip

import minigpt as mg

torch = import_or_skip("torch")
transformers = import_or_skip("transformers")
transformers.utils.logging.disable_progress_bar()

LOGITS = {"float32": 1e-4, "float64": 1e-9}  # absolute
GRADIENTS = {"float32": 1e-5, "float64": 1e-10}  # of each tensor's greatest
CFG, SEED = CASES["small"].cfg, CASES["small"].seed
each_dtype = pytest.mark.parametrize("dtype", LOGITS)


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


@st.composite
def shapes(draw):
    n_head = draw(st.integers(1, 7))
    width = n_head * draw(st.integers(1, 24))
    assume(width >= 16)  # over a few channels layer norm is nearly a step
    return mg.Config(
        vocab_size=draw(st.integers(11, 150)),
        n_ctx=draw(st.integers(2, 40)),
        n_embd=width,
        n_layer=draw(st.integers(1, 4)),
        n_head=n_head,
        layer_norm_eps=draw(st.sampled_from([1e-5, 1e-3, 1e-6, 1e-12])),
    )


def exchanged(model, folder, **settings):
    """``(params, cfg)``: written by `transformers`, read by us."""
    model.save_pretrained(folder, **settings)
    return mg.load_gpt2(folder)


def texts(cfg, seed=0, rows=3, length=None):
    """``(ids, targets, mask)``, each (B, T); targets are -100 where the mask is not."""
    whole = tokens(cfg, seed, rows, length or cfg.n_ctx)
    mask = np.random.default_rng(seed).random(whole[:, 1:].shape) < 0.7
    mask[0, 0] = True
    return whole[:, :-1].copy(), np.where(mask, whole[:, 1:], -100), mask


def agrees(params, cfg, model, dtype, ids, targets, mask, slack=1):
    """Logits, loss and every gradient of `minigpt` are those of `transformers`."""
    logits, loss, expected = logits_loss_gradients(model, ids, targets)
    ours = mg.gpt(params, ids, cfg)
    assert ours.dtype == logits.dtype == dtype
    np.testing.assert_allclose(ours, logits, rtol=0, atol=LOGITS[dtype])
    value, grads = mg.value_and_grad(mg.next_token_loss)(
        params, ids, np.where(mask, targets, 0), cfg, mask=mask
    )
    assert float(value) == pytest.approx(loss, rel=GRADIENTS[dtype])
    grads = mg.tree.flatten(grads)
    assert set(grads) == set(expected)
    for name, theirs in expected.items():
        atol = slack * GRADIENTS[dtype] * np.abs(theirs).max()
        assert grads[name].dtype == dtype and atol > 0
        np.testing.assert_allclose(grads[name], theirs, rtol=0, atol=atol, err_msg=name)


# ---------------------------------------------------------------- any shape, any file


@each_dtype
@settings(max_examples=40, deadline=None, derandomize=True)
@given(cfg=shapes(), seed=st.integers(0, 999), untied=st.booleans())
def test_any_shape(tmp_path_factory, dtype, cfg, seed, untied):
    flat = weights(cfg, seed, untied, dtype)
    model = reference(cfg, flat, dtype)
    params, read = exchanged(model, tmp_path_factory.mktemp("gpt2"))
    assert read == cfg
    ours = mg.tree.flatten(params)
    assert set(ours) == set(flat)
    for name, array in flat.items():
        np.testing.assert_array_equal(ours[name], array)
    # of 1,000 models in float32 about one differs by 1.5e-5: each by 1e-5 from float64
    agrees(params, cfg, model, dtype, *texts(cfg, seed), slack=3)


@each_dtype
def test_a_body_without_its_head(tmp_path, dtype):
    """``GPT2Model`` writes names without "transformer."; its result is after ln_f."""
    model = reference(CFG, weights(CFG, SEED, dtype=dtype), dtype)
    params, cfg = exchanged(model.transformer, tmp_path)
    ids, seen = texts(CFG)[0], {}
    mg.gpt(params, ids, cfg, tap=seen)
    with torch.no_grad():
        states = model.transformer(torch.from_numpy(ids), output_hidden_states=True)
    theirs = states.last_hidden_state.numpy()
    np.testing.assert_allclose(seen["ln_f"], theirs, rtol=0, atol=LOGITS[dtype])
    names = ["embedding", *(f"h.{i}" for i in range(cfg.n_layer - 1)), "ln_f"]
    assert len(states.hidden_states) == len(names)
    for name, theirs in zip(names, states.hidden_states, strict=True):
        np.testing.assert_allclose(seen[name], theirs, rtol=0, atol=LOGITS[dtype])


@pytest.mark.parametrize("untied", [False, True])
def test_a_model_in_shards(tmp_path, untied):
    model = reference(CFG, weights(CFG, SEED, untied, "float64"), "float64")
    params, cfg = exchanged(model, tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    agrees(params, cfg, model, "float64", *texts(CFG))


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_is_widened(tmp_path, half):
    model = reference(CFG, weights(CFG, SEED), half)
    params, cfg = exchanged(model, tmp_path)
    agrees(params, cfg, model.float(), "float32", *texts(CFG))


def other_model(**changed):
    """A model of large weights with another setting in its ``config.json``."""
    config = transformers.GPT2Config(
        vocab_size=37,
        n_positions=16,
        n_embd=24,
        n_layer=2,
        n_head=4,
        attn_implementation="eager",  # it alone heeds every setting in all versions
        **changed,
    )
    model = transformers.GPT2LMHeadModel(config).double().eval()
    bits = np.random.PCG64(SEED)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.from_numpy(bits_to_numbers(bits, p.shape, 0.3, 0.0, "f8")))
    return model


SAME_CURVE = ["gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"]
HONOURED = [{"activation_function": curve} for curve in ["gelu_new", *SAME_CURVE]]
HONOURED += [{"scale_attn_weights": False}, {"scale_attn_by_inverse_layer_idx": True}]
REFUSED = [{"activation_function": curve} for curve in ("gelu", "relu", "quick_gelu")]
REFUSED += [{"n_inner": 40}, {"add_cross_attention": True}]


@pytest.mark.parametrize("changed", HONOURED, ids=str)
def test_settings_that_are_honoured(tmp_path, changed):
    params, cfg = exchanged(model := other_model(**changed), tmp_path)
    ids = tokens(cfg, SEED, 2, 15)
    ours, theirs = mg.gpt(params, ids, cfg), logits_of(model, ids)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("changed", REFUSED, ids=str)
def test_settings_that_are_refused(tmp_path, changed):
    with pytest.raises(ValueError, match=next(iter(changed))):
        exchanged(other_model(**changed), tmp_path)


# ---------------------------------------------------------------- the loss


@each_dtype
def test_the_loss_of_labels(dtype):
    """Theirs shifts the labels itself, leaves out -100, and is always in float32."""
    model = reference(CFG, flat := weights(CFG, SEED), dtype)
    params = mg.tree.unflatten({n: a.astype(dtype) for n, a in flat.items()})
    whole = tokens(CFG, 5, 4, CFG.n_ctx - 1)
    counts = np.random.default_rng(5).random(whole.shape) < 0.5
    for mask in (None, counts[:, 1:]):
        labels = whole if mask is None else np.where(counts, whole, -100)
        theirs = model(torch.from_numpy(whole), labels=torch.from_numpy(labels)).loss
        ours = mg.next_token_loss(params, whole[:, :-1], whole[:, 1:], CFG, mask=mask)
        assert float(ours) == pytest.approx(theirs.item(), rel=2e-6)


# ---------------------------------------------------------------- the golden numbers


@pytest.mark.parametrize("name", ["small", "untied", slow("124M")])
def test_the_golden_numbers_are_still_theirs(name):
    kept = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    made = numbers(CASES[name])
    assert set(made) == set(kept)
    for exact in ("weights sha256", "ids", "targets", "greedy"):
        assert made[exact] == kept[exact]
    for near in ("logits", "logsumexp", "loss"):
        np.testing.assert_allclose(made[near], kept[near], rtol=0, atol=1e-11)
    assert set(made["gradients"]) == set(kept["gradients"])
    for tensor, pair in kept["gradients"].items():
        np.testing.assert_allclose(made["gradients"][tensor], pair, rtol=1e-9)


# ---------------------------------------------------------------- the shape of GPT-2


@pytest.mark.slow
def test_the_shape_of_gpt2(tmp_path):
    case = CASES["124M"]
    flat = weights(case.cfg, case.seed)
    model = reference(case.cfg, flat, "float32")
    del flat
    for dtype in LOGITS:
        params, cfg = exchanged(model.to(getattr(torch, dtype)), tmp_path)
        assert cfg == case.cfg == mg.Config.preset("gpt2")
        ids = tokens(cfg, 7, 1, cfg.n_ctx)[:, :-1]
        if dtype == "float32":  # all positions, and then every gradient
            ours = mg.gpt(params, ids, cfg)
            np.testing.assert_allclose(ours, logits_of(model, ids), rtol=0, atol=1e-4)
            del ours
            agrees(params, cfg, model, dtype, *texts(cfg, length=24))
        else:
            few = ids[:, :48].copy()
            ours, theirs = mg.gpt(params, few, cfg), logits_of(model, few)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
        model.zero_grad(set_to_none=True)
        theirs, gaps = greedy(model, ids[:, :16].copy(), 24)
        assert gaps.min() > 1e-3 and len(set(theirs[0, 16:])) > 5
        ours = mg.generate(params, ids[:, :16], cfg, 24, temperature=0)
        assert ours.tolist() == theirs.tolist()
        del params, ours
        shutil.rmtree(tmp_path)  # half a gigabyte, a whole one
