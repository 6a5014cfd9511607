"""Generation: the right distribution, the cache, the sliding window, and sentences."""

import dataclasses
import importlib

import numpy as np
import pytest
from small_model import CFG, noisy

import minigpt as mg
from minigpt.generate import check_settings, choose

gen = importlib.import_module("minigpt.generate")  # mg.generate is the function
LONG = dataclasses.replace(CFG, n_ctx=11)
PARAMS = noisy(LONG, scale=0.5)
PROMPT = np.array([3, 1, 4, 1, 5, 9])
THREE = PROMPT[None].repeat(3, 0)
LOGITS = np.log(np.array([[0.5, 0.25, 0.15, 0.07, 0.03]]))


def draws(logits=LOGITS, n=20_000, temperature=1.0, top_k=None, top_p=None, seed=0):
    """How often each token is chosen in ``n`` draws, as shares."""
    rng = np.random.default_rng(seed)
    many = np.repeat(logits, n, axis=0)
    chosen = choose(many, temperature, top_k, top_p, rng)
    return np.bincount(chosen, minlength=logits.shape[1]) / n


def agrees(shares, p, n=20_000):
    """Pearson's chi-square test, at one in 10,000 for up to four degrees of freedom."""
    p = np.asarray(p) / np.sum(p)
    assert (shares[p == 0] == 0).all()
    shares, p = shares[p > 0], p[p > 0]
    return n * ((shares - p) ** 2 / p).sum() < 23.5


def naive(params, ids, cfg, count):
    """Greedy generation in four lines, with nothing clever."""
    ids = list(ids)
    for _ in range(count):
        logits = mg.gpt(params, np.array([ids[-cfg.n_ctx :]]), cfg)
        ids.append(int(logits[0, -1].argmax()))
    return ids


# ---------------------------------------------------------------- distributions


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 10.0])
def test_temperature(temperature):
    p = np.exp(LOGITS[0] / temperature)
    assert agrees(draws(temperature=temperature), p)
    assert not agrees(draws(temperature=temperature), np.exp(LOGITS[0] / 3))


def test_temperature_at_its_ends():
    assert (draws(temperature=0, n=50)[0], draws(temperature=1e-6, n=50)[0]) == (1, 1)
    assert draws(temperature=5e-324, n=50)[0] == 1
    assert agrees(draws(temperature=1e300), np.ones(5))
    huge = np.array([[3e38, -3e38, 0]], np.float32)
    assert draws(huge, n=50, temperature=1e-6)[0] == 1


def test_top_k():
    assert agrees(draws(top_k=2), [50, 25, 0, 0, 0])
    assert agrees(draws(top_k=1), [1, 0, 0, 0, 0])
    assert agrees(draws(top_k=5), np.exp(LOGITS[0]))
    assert agrees(draws(top_k=99), np.exp(LOGITS[0]))


@pytest.mark.parametrize("kept, p", [(1, 1e-9), (1, 0.49), (2, 0.6), (3, 0.76), (5, 1)])
def test_top_p_keeps_the_fewest_that_reach_it(kept, p):
    expected = np.exp(LOGITS[0]) * (np.arange(5) < kept)
    assert agrees(draws(top_p=p), expected)
    shuffled = np.array([3, 1, 0, 4, 2])
    assert agrees(draws(LOGITS[:, shuffled], top_p=p), expected[shuffled])


def test_top_k_comes_before_top_p():
    # of the two kept, the first has 2/3: it alone reaches 0.6
    assert agrees(draws(top_k=2, top_p=0.6), [1, 0, 0, 0, 0])


def test_sampling_never_chooses_what_has_no_probability():
    class Ends:
        def random(self, shape):
            return np.resize([0.0, 1 - 2**-53], shape)

    p = np.repeat([[0.0, 0.3, 0.7, 0.0]], 2, axis=0)
    assert gen.sample(p, Ends()).tolist() == [1, 2]


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
        ([[1, 2], [3]], "must be of one length"),
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


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_broken_weights_get_a_sentence(temperature):
    broken = mg.tree.map(np.array, PARAMS)
    broken["h"][0]["mlp"]["c_fc"]["weight"][2, 3] = NAN
    with pytest.raises(ValueError, match="logits are not finite"):
        mg.generate(broken, PROMPT, LONG, 3, temperature=temperature)


def test_check_settings_lets_the_sensible_pass():
    check_settings(0, 1, 1.0)
    check_settings(np.float32(0.7), np.int64(5), 0.1)
