"""Generation: the cache, the sliding window, batches of prompts, and sentences."""

import dataclasses
import importlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_model import CFG, noisy

import minigpt as mg

gen = importlib.import_module("minigpt.generate")  # mg.generate is the function
LONG = dataclasses.replace(CFG, n_ctx=11)
PARAMS = noisy(LONG, scale=0.5)
PROMPT = np.array([3, 1, 4, 1, 5, 9])
THREE = PROMPT[None].repeat(3, 0)


def naive(params, ids, cfg, count):
    """Greedy generation in four lines, with nothing clever."""
    ids = list(ids)
    for _ in range(count):
        logits = mg.gpt(params, np.array([ids[-cfg.n_ctx :]]), cfg)
        ids.append(int(logits[0, -1].argmax()))
    return ids


# ---------------------------------------------------------------- generate


def test_greedy_is_the_naive_loop_beyond_the_context():
    for prompt in (PROMPT, PROMPT[:1], np.tile(PROMPT, 3)):
        out = mg.generate(PARAMS, prompt, LONG, 20, temperature=0)
        assert out.tolist() == naive(PARAMS, prompt, LONG, 20)


@pytest.mark.parametrize("prompt", [PROMPT, np.tile(PROMPT, 3), THREE])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_the_cache_changes_nothing(prompt, temperature):
    settings = {"temperature": temperature, "top_p": 0.95, "seed": 5}
    cached = mg.generate(PARAMS, prompt, LONG, 20, **settings)
    plain = mg.generate(PARAMS, prompt, LONG, 20, cache=False, **settings)
    np.testing.assert_array_equal(cached, plain)


def fed_to_the_model(monkeypatch, count, **settings):
    """How many positions each step of a generation computes."""
    lengths, gpt = [], gen.gpt

    def watched(params, ids, cfg, **rest):
        lengths.append(ids.shape[1])
        return gpt(params, ids, cfg, **rest)

    monkeypatch.setattr(gen, "gpt", watched)
    mg.generate(PARAMS, PROMPT, LONG, count, seed=0, **settings)
    return lengths


def test_a_model_is_any_function_that_computes_as_gpt_does():
    fed = []

    def model(ids, cfg, *, caches=None, last=False):
        fed.append(ids.shape)
        return mg.gpt(PARAMS, ids, cfg, caches=caches, last=last)

    for prompt in (PROMPT, THREE, [PROMPT, PROMPT[:2]]):
        settings = {"temperature": 0.9, "top_k": 5, "seed": 3}
        ours = mg.generate(PARAMS, prompt, LONG, 9, **settings)
        through = mg.generate(model, prompt, LONG, 9, **settings)
        for a, b in zip(ours, through, strict=True):
            assert np.array_equal(a, b)
    fed.clear()
    assert len(list(mg.stream(model, PROMPT, LONG, 4, seed=1))) == 4
    assert fed == [(1, 6), (1, 1), (1, 1), (1, 1)]


def test_the_window_slides_only_when_it_must(monkeypatch):
    assert fed_to_the_model(monkeypatch, 8) == [6, 1, 1, 1, 1, 1, 11, 11]


def test_without_the_cache_all_is_computed(monkeypatch):
    lengths = fed_to_the_model(monkeypatch, 8, cache=False)
    assert lengths == [6, 7, 8, 9, 10, 11, 11, 11]


def test_shapes_and_the_prompt_is_kept():
    one = mg.generate(PARAMS, PROMPT.tolist(), LONG, 4, seed=1)
    assert one.shape == (10,) and one[:6].tolist() == PROMPT.tolist()
    two = mg.generate(PARAMS, [PROMPT, PROMPT[::-1]], LONG, 4, seed=1)
    assert two.shape == (2, 10) and np.issubdtype(two.dtype, np.integer)
    prompt = PROMPT.copy()
    same = mg.generate(PARAMS, prompt, LONG, 0)
    assert same.tolist() == PROMPT.tolist() and not np.shares_memory(same, prompt)


@pytest.mark.parametrize("dtype", "bhilBHIL")
def test_ids_of_every_integer_type(dtype):
    ids = mg.generate(PARAMS, PROMPT.astype(dtype), LONG, 3, temperature=0)
    assert ids.dtype == np.int64
    assert ids.tolist() == naive(PARAMS, PROMPT, LONG, 3)


def test_seeds():
    def run(seed):
        return mg.generate(PARAMS, PROMPT, LONG, 20, seed=seed).tolist()

    assert run(1) == run(1) == run(np.random.default_rng(1)) != run(2)
    assert run(None) != run(None)


def test_rows_are_drawn_on_their_own():
    rows = mg.generate(PARAMS, PROMPT[None].repeat(4, 0), LONG, 12, seed=0)
    assert len({tuple(row) for row in rows.tolist()}) == 4
    greedy = mg.generate(PARAMS, [PROMPT, PROMPT[::-1]], LONG, 12, temperature=0)
    assert greedy[1].tolist() == naive(PARAMS, PROMPT[::-1], LONG, 12)


def test_stop_tokens_end_a_row_and_fill_it():
    free = mg.generate(PARAMS, THREE, LONG, 30, seed=2)
    stop = int(free[0, 9])
    stopped = mg.generate(PARAMS, THREE, LONG, 30, seed=2, stop=stop)
    ends = []
    for row, whole in zip(stopped, free, strict=True):
        new = whole[6:].tolist()
        end = 6 + new.index(stop) + 1 if stop in new else len(row)
        ends.append(min(end, len(row)))
        np.testing.assert_array_equal(row[:end], whole[: len(row)][:end])
        assert (row[end:] == stop).all()
    assert stopped.shape[1] == max(ends)
    one = mg.generate(PARAMS, PROMPT, LONG, 30, temperature=0)
    cut = mg.generate(PARAMS, PROMPT, LONG, 30, temperature=0, stop={int(one[8]), 99})
    assert cut.tolist() == one[: one[6:].tolist().index(one[8]) + 7].tolist()


@pytest.mark.parametrize("stop", [(), (2, 7)])
def test_stream_gives_the_tokens_of_generate(stop):
    settings = {"seed": 3, "top_k": 8, "temperature": 1.3, "stop": stop}
    out = mg.generate(PARAMS, PROMPT, LONG, 25, **settings)
    new = list(mg.stream(PARAMS, PROMPT, LONG, 25, **settings))
    assert new == out[6:].tolist() and all(type(i) is int for i in new)


# ---------------------------------------------------------------- different lengths


@given(
    lengths=st.lists(st.integers(1, 16), min_size=2, max_size=5),
    count=st.integers(0, 14),
    cache=st.booleans(),
)
def test_prompts_of_different_lengths_are_written_as_if_alone(lengths, count, cache):
    rng = np.random.default_rng(sum(lengths))
    prompts = [rng.integers(0, LONG.vocab_size, n) for n in lengths]
    settings = {"temperature": 0, "cache": cache}
    together = mg.generate(PARAMS, prompts, LONG, count, **settings)
    for prompt, row in zip(prompts, together, strict=True):
        assert row.tolist() == naive(PARAMS, prompt, LONG, count)


def test_padding_is_read_by_nobody():
    ids = np.array([[0, 0, 0, 5, 9, 2], [3, 1, 4, 1, 5, 9]])
    caches = mg.model.new_caches(LONG, padding=np.array([3, 0]))
    seen = {}
    both = mg.gpt(PARAMS, ids, LONG, caches=caches, tap=seen)
    alone = mg.gpt(PARAMS, ids[:1, 3:], LONG)
    np.testing.assert_allclose(both[0, 3:], alone[0], rtol=0, atol=2e-6)
    np.testing.assert_allclose(both[1:], mg.gpt(PARAMS, ids[1:], LONG), atol=2e-6)
    assert (seen["h.1.attn.weights"][0, :, 3:, :3] == 0).all()
    assert np.isfinite(both).all()


def test_stop_tokens_in_prompts_of_different_lengths():
    prompts = [PROMPT, PROMPT[:2], PROMPT[:4]]
    free = mg.generate(PARAMS, prompts, LONG, 25, seed=2)
    stop = int(free[1][5])
    stopped = mg.generate(PARAMS, prompts, LONG, 25, seed=2, stop=stop)
    for prompt, row, whole in zip(prompts, stopped, free, strict=True):
        new, free_new = row[len(prompt) :].tolist(), whole[len(prompt) :].tolist()
        end = new.index(stop) + 1 if stop in new else len(new)
        assert new[:end] == free_new[:end] and set(new[end:]) <= {stop}
    assert len({len(r) - len(p) for r, p in zip(stopped, prompts, strict=True)}) == 1


def test_a_long_prompt_is_read_in_pieces(monkeypatch):
    whole = mg.generate(PARAMS, PROMPT, LONG, 8, seed=0)
    monkeypatch.setattr(gen, "PIECE", 4)
    assert fed_to_the_model(monkeypatch, 3) == [4, 2, 1, 1]
    np.testing.assert_array_equal(mg.generate(PARAMS, PROMPT, LONG, 8, seed=0), whole)


def test_a_long_prompt_needs_little_memory_beside_the_cache():
    cfg = mg.Config(vocab_size=50, n_ctx=1024, n_embd=32, n_layer=2, n_head=4)
    params, prompt = mg.init(cfg), np.arange(1000) % 50
    tracemalloc.start()
    mg.generate(params, prompt, cfg, 10, temperature=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    cache = 2 * cfg.n_layer * cfg.n_ctx * cfg.n_embd * 4
    scores = cfg.n_head * len(prompt) ** 2 * 4  # a layer's, if it were read at once
    assert peak < cache + scores


def test_the_cache_is_as_large_as_the_text(monkeypatch):
    made = []
    monkeypatch.setattr(
        gen, "new_caches", lambda *a: made.append(mg.model.new_caches(*a)) or made[-1]
    )
    mg.generate(PARAMS, PROMPT, LONG, 3, temperature=0)
    assert [c.capacity for c in made[0]] == [8, 8] and made[0][0].length == 8
    mg.generate(PARAMS, PROMPT, LONG, 30, temperature=0)
    assert made[1][0].capacity == LONG.n_ctx


# ---------------------------------------------------------------- sentences

NAN = float("nan")


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"temperature": -1}, "temperature must be 0"),
        ({"temperature": NAN}, "temperature must be 0"),
        ({"temperature": float("inf")}, "temperature must be 0"),
        ({"top_k": 0}, "top_k must be a whole number from 1, not 0"),
        ({"top_k": 2.5}, "top_k must be a whole number from 1, not 2.5"),
        ({"top_p": 0}, "top_p must be over 0"),
        ({"top_p": 1.1}, "top_p must be over 0"),
        ({"top_p": NAN}, "top_p must be over 0"),
        ({"temperature": "hot"}, "temperature must be 0"),
        ({"top_p": "all"}, "top_p must be over 0"),
        ({"stop": "."}, "stop is a token id or several, and not '.'"),
        ({"max_new_tokens": -1}, "max_new_tokens must be a whole number from 0"),
    ],
)
@pytest.mark.parametrize("function", [mg.generate, mg.stream])
def test_settings_without_meaning(function, settings, sentence):
    settings = {"max_new_tokens": 3} | settings
    with pytest.raises(ValueError, match=sentence):
        function(PARAMS, PROMPT, LONG, **settings)


@pytest.mark.parametrize(
    "ids, sentence",
    [
        ([], "the prompt is empty"),
        ([[]], "the prompt is empty"),
        ([[1, 2], []], "the prompt is empty"),
        ([[1, 2], [13]], "the id 13 is not in the model's vocabulary of 13"),
        ([[1, 2], 3], "a prompt is token ids"),
        ([[[1], [2]], [3]], "a prompt is token ids"),
        ([[1, [2]], [3]], "one prompt is needed"),
        ("Once", "encode text with a tokenizer first"),
        ([1.0], "a prompt is token ids"),
        (3, "a prompt is token ids"),
        ([1, 13], "the id 13 is not in the model's vocabulary of 13"),
        ([-1], "the id -1 is not in"),
    ],
)
def test_prompts_that_no_model_reads(ids, sentence):
    with pytest.raises(ValueError, match=sentence):
        mg.generate(PARAMS, ids, LONG, 3)


def test_stream_takes_one_prompt():
    with pytest.raises(ValueError, match="one prompt, and got a batch of 2"):
        mg.stream(PARAMS, [PROMPT, PROMPT], LONG, 3)
    with pytest.raises(ValueError, match="one prompt is needed"):
        mg.stream(PARAMS, [PROMPT, PROMPT[:2]], LONG, 3)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_broken_weights_get_a_sentence(temperature):
    broken = mg.tree.map(np.array, PARAMS)
    broken["h"][0]["mlp"]["c_fc"]["weight"][2, 3] = NAN
    with pytest.raises(ValueError, match="logits are not finite"):
        mg.generate(broken, PROMPT, LONG, 3, temperature=temperature)
