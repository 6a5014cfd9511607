"""The engine of the pages computes what NumPy does: logits, attention, and text."""

import numpy as np
import pytest
from engine.runners import RUNNERS, SHAPES, model, start

import minigpt as mg
from minigpt.sampling import distribution

MODELS = ("tales", *SHAPES)


@pytest.fixture(scope="module", params=RUNNERS)
def call(request, tmp_path_factory):
    with start(request.param, tmp_path_factory.mktemp("page")) as call:
        yield call


def prompts(cfg, count, longest=None, seed=0):
    """Random prompts of all lengths, the longest and the shortest among them."""
    rng = np.random.default_rng(seed)
    longest = longest or cfg.n_ctx
    lengths = [1, longest, *rng.integers(1, longest + 1, count - 2)]
    return [rng.integers(0, cfg.vocab_size, n).tolist() for n in lengths]


def close(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


LOGITS = """({ name, prompts, whole }) => {
  const { params, cfg } = globalThis[name] ??= minigpt.load(minigpt.models[name]);
  return prompts.map((ids) => whole
    ? [...minigpt.gpt(params, ids, cfg)]
    : [...globalThis[name].start(ids).logits()]);
}"""


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_numpy(call, name):
    params, cfg, _ = model(name)
    many = prompts(cfg, 100)
    ours = call(LOGITS, {"name": name, "prompts": many, "whole": False})
    for ids, logits in zip(many, ours, strict=True):
        expected = mg.gpt(params, np.array([ids]), cfg, last=True)[0, -1]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=3e-4)
        assert np.ptp(logits) > 1  # there is something to be equal to


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_every_position(call, name):
    params, cfg, _ = model(name)
    many = prompts(cfg, 8, seed=1)
    ours = call(LOGITS, {"name": name, "prompts": many, "whole": True})
    for ids, logits in zip(many, ours, strict=True):
        expected = mg.gpt(params, np.array([ids]), cfg)[0].ravel()
        np.testing.assert_allclose(logits, expected, rtol=0, atol=3e-4)


WRITE = """({ name, prompts, count, settings, seed }) => {
  const model = globalThis[name] ??= minigpt.load(minigpt.models[name]);
  return prompts.map((ids) => {
    const session = model.start(ids, seed);
    for (let i = 0; i < count; i++) session.step(settings);
    return session.ids;
  });
}"""


def gap(params, cfg, ids, a, b):
    """How far the logits of two tokens that could follow are apart."""
    logits = mg.gpt(params, np.array([ids[-cfg.n_ctx :]]), cfg, last=True)[0, -1]
    return abs(logits[a] - logits[b])


@pytest.mark.parametrize(("name", "count"), [("tales", 30), ("small", 25), ("tied", 9)])
def test_greedy_text_is_that_of_numpy(call, name, count):
    """Beyond the window, too, into which the last prompt does not even fit."""
    params, cfg, _ = model(name)
    many = [*prompts(cfg, 6), *prompts(cfg, 2, cfg.n_ctx + 5)]
    settings = {"temperature": 0, "top_k": 5, "top_p": 0.5}
    job = {"name": name, "prompts": many, "count": count, "settings": settings}
    for ids, ours in zip(many, call(WRITE, job), strict=True):
        theirs = mg.generate(params, np.array(ids), cfg, count, temperature=0).tolist()
        assert len(ours) == len(theirs)
        if ours != theirs:
            first = next(i for i in range(len(ours)) if ours[i] != theirs[i])
            assert first >= len(ids)
            assert gap(params, cfg, ours[:first], ours[first], theirs[first]) < 1e-3


@pytest.mark.parametrize("seed", [0, 12, 2**31 - 1])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.7, "top_k": 40, "top_p": 0.9},
        {"temperature": 10.0, "top_p": 0.99},
        {"temperature": 0.01},
    ],
)
def test_the_same_seed_writes_the_same_text(call, seed, settings):
    params, cfg, tok = model("tales")
    ids = [tok.eot, *tok.encode("Once there was a")]
    job = {"name": "tales", "prompts": [ids], "count": 60}
    ours = call(WRITE, job | {"settings": settings, "seed": seed})[0]
    theirs = mg.generate(params, np.array(ids), cfg, 60, seed=seed, **settings)
    assert ours == theirs.tolist()


def test_seeded_text_beyond_the_window(call):
    params, cfg, _ = model("small")
    job = {"name": "small", "prompts": [[1, 2]], "count": 50}
    settings = {"temperature": 1.5, "top_k": 100}
    ours = call(WRITE, job | {"settings": settings, "seed": 3})[0]
    theirs = mg.generate(params, np.array([1, 2]), cfg, 50, seed=3, **settings)
    assert ours == theirs.tolist()


def test_a_token_of_ones_own_choice(call):
    params, cfg, _ = model("small")
    ours = call(
        """() => {
      const session = minigpt.load(minigpt.models.small).start([5]);
      session.logits();
      [6, 7].forEach((id) => session.append(id));
      const { id } = session.step({ temperature: 0 });
      session.append(9);
      const { probabilities, entropy } = session.chances({ temperature: 2, top_k: 9 });
      const logits = [...session.logits()];
      return { id, ids: session.ids, logits, p: [...probabilities], entropy };
    }"""
    )
    after = mg.gpt(params, np.array([[5, 6, 7]]), cfg, last=True)[0, -1]
    assert ours["id"] == after.argmax()
    assert ours["ids"] == [5, 6, 7, ours["id"], 9]
    expected = mg.gpt(params, np.array([ours["ids"]]), cfg, last=True)[0, -1]
    close(ours["logits"], expected)
    p = distribution(expected[None], 2, 9)[0]
    close(ours["p"], p)
    close(ours["entropy"], -(p[p > 0] * np.log(p[p > 0])).sum())


IN_PIECES = """({ name, ids }) => {
  const model = minigpt.load(minigpt.models[name]);
  const slices = (text) => {
    let count = 1;
    while (!text.read(-1)) count++; // the time is over before it begins
    return count;
  };
  const seen = { counts: [], logits: [], window: [] };
  const text = model.start(ids);
  for (const id of [null, 1, 2, 3]) {
    if (id !== null) text.append(id);
    seen.counts.push(slices(text), slices(text));
    seen.logits.push([...text.logits()]);
    const window = text.ids.slice(-model.cfg.n_ctx);
    seen.window.push([...minigpt.gpt(model.params, window, model.cfg, { last: true })]);
  }
  const half = model.start(ids);
  half.read(-1);
  half.append(5); // before all is read
  seen.half = [...half.logits()];
  seen.whole = [...model.start([...ids, 5]).logits()];
  return seen;
}"""


@pytest.mark.parametrize(
    ("name", "length", "counts"),
    [
        ("tales", 94, [12, 1, 1, 1, 1, 1, 12, 1]),  # of 96 positions: then it slides
        ("tales", 200, [12, 1, 12, 1, 12, 1, 12, 1]),
        ("tales", 8, [1, 1, 1, 1, 1, 1, 1, 1]),
        ("small", 10, [2, 1, 1, 1, 1, 1, 2, 1]),
    ],
)
def test_reading_in_pieces_is_exact(call, name, length, counts):
    """To the last bit: a row of a product does not depend on the rows beside it."""
    ids = prompts(model(name)[1], 2, length)[1]
    seen = call(IN_PIECES, {"name": name, "ids": ids})
    assert seen["counts"] == counts
    assert seen["logits"] == seen["window"]
    assert seen["half"] == seen["whole"]


LOOK = """({ name, ids }) => {
  const model = minigpt.load(minigpt.models[name]);
  const weights = model.attention(ids).map((array) => [...array]);
  const taps = Object.entries(model.look(ids)).map(
    ([name, { array, shape }]) => [name, [[...array], shape]]);
  return { weights, taps: Object.fromEntries(taps) };
}"""


@pytest.mark.parametrize("name", MODELS)
def test_attention_weights_and_all_between(call, name):
    params, cfg, _ = model(name)
    for ids in prompts(cfg, 3, seed=2):
        T, seen, taps = len(ids), call(LOOK, {"name": name, "ids": ids}), {}
        logits = mg.gpt(params, np.array([ids]), cfg, tap=taps)[0]
        ours = {n: np.reshape(*tap) for n, tap in seen["taps"].items()}
        taps = {n: a[0] for n, a in taps.items()} | {"logits": logits}
        for i in range(cfg.n_layer):
            heads = taps[f"h.{i}.attn.heads"]
            taps[f"h.{i}.attn.heads"] = heads.transpose(1, 0, 2)  # (T, H, D) in a page
            weights = np.reshape(seen["weights"][i], (cfg.n_head, T, T))
            assert np.array_equal(weights, ours[f"h.{i}.attn.weights"])
            assert not np.triu(weights, 1).any()
            np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        for tap, expected in taps.items():
            assert ours[tap].shape == expected.shape, tap
            close(ours[tap], expected)
        between(ours, params, cfg)


def between(ours, params, cfg):
    """What only the page's taps show: each follows from another of them."""
    D = cfg.n_embd // cfg.n_head
    for i, block in enumerate(params["h"]):
        tap = {n.removeprefix(f"h.{i}."): a for n, a in ours.items()}
        q, k, v = (tap[f"attn.{n}"].transpose(1, 0, 2) for n in "qkv")
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(D)
        weights = np.exp(scores - scores.max(-1, keepdims=True)) * np.tri(len(q[0]))
        close(tap["attn.weights"], weights / weights.sum(-1, keepdims=True))
        close(tap["attn.heads"], (tap["attn.weights"] @ v).transpose(1, 0, 2))
        x = ours["embedding" if i == 0 else f"h.{i - 1}"]
        close(tap["ln_1"], mg.layers.layer_norm(x, block["ln_1"]))
        x = x + tap["attn"]
        close(tap["ln_2"], mg.layers.layer_norm(x, block["ln_2"]))
        close(ours[f"h.{i}"], x + tap["mlp"])
        narrow = block["mlp"]["c_proj"]
        close(tap["mlp"], tap["mlp.hidden"] @ narrow["weight"] + narrow["bias"])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("model.start([])", "begin with the end token"),
        ("model.start([1, 576])", "576 is not in the vocabulary"),
        ("model.start([1.5])", "1.5 is not in the vocabulary"),
        ("model.start([1]).append(-1)", "-1 is not in"),
        ("model.start([1, undefined])", "undefined is not in"),
        ("model.start([1], -1)", "a seed is a whole number from 0, not -1"),
        ("model.start([1], 0.5)", "a seed is a whole number from 0, not 0.5"),
        ("model.look(Array(97).fill(1))", "97 tokens are more than 96 positions"),
        ("model.start([1]).step({ temperature: -1 })", "0 (greedy) or more, not -1"),
        ("model.start([1]).step({ temperature: NaN })", "0 (greedy) or more, not NaN"),
        ("model.start([1]).step({ top_k: 0 })", "a whole number from 1, not 0"),
        ("model.start([1]).step({ top_p: 1.5 })", "over 0 and at most 1, not 1.5"),
        ("model.tok.decode([576])", "id 576 is not in the vocabulary of 576"),
    ],
)
def test_what_cannot_be_done_is_said(call, code, words):
    said = call(f"""() => {{
      const model = minigpt.load(minigpt.models.tales);
      try {{ return String({code}); }} catch (error) {{ return error.message; }}
    }}""")
    assert words in said


def test_weights_that_are_broken_are_told(call):
    said = call("""() => {
      const model = minigpt.load(minigpt.models.small);
      model.params.ln_f.bias.data[0] = NaN;
      try { return model.start([1]).step().id; } catch (error) { return error.message; }
    }""")
    assert "not finite" in said


def test_softmax_does_not_overflow(call):
    ours = call("() => [...minigpt.softmax(Float32Array.of(1000, 999, -1000))]")
    np.testing.assert_allclose(
        ours, [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], atol=1e-6
    )


def test_a_greedy_step_draws_no_number(call):
    code = """() => {
      const session = minigpt.load(minigpt.models.small).start([1], 5);
      session.step({ temperature: 0 });
      return session.random.next();
    }"""
    assert call(code) == np.random.default_rng(5).random()


def test_every_float16(call):
    code = "() => Array.from({ length: 65536 }, (_, i) => String(minigpt.half(i)))"
    ours = call(code)
    expected = np.arange(65536, dtype=np.uint16).view(np.float16).astype(float)
    assert np.array_equal(np.array(ours, float), expected, equal_nan=True)
