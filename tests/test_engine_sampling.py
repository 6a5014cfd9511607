"""Sampling in a page: the probabilities and the random numbers that Python has."""

import itertools

import numpy as np
import pytest
from engine.runners import RUNNERS, start
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import sampling


@pytest.fixture(scope="module", params=RUNNERS)
def call(request, tmp_path_factory):
    with start(request.param, tmp_path_factory.mktemp("page")) as call:
        yield call


FILTER = """({ logits, all }) => all.map((settings) => {
  const found = minigpt.filter(Float32Array.from(logits), settings);
  const { probabilities, before, cut } = found;
  return { probabilities: [...probabilities], before: [...before], cut,
    entropy: minigpt.entropy(probabilities) };
})"""
LOGITS = {
    "random": np.random.default_rng(0).normal(0, 3, 576),
    "ties": np.random.default_rng(1).integers(-3, 3, 100),
    "even": np.zeros(10),
    "far apart": np.array([1e4, 0, -1e4, 9999, 3e38, -3e38]),
    "one": np.array([2.5]),
}
TEMPERATURES = [5e-324, 0.01, 0.3, 1.0, 2.0, 10.0, 1e300]
TOP_K = [None, 1, 2, 5, 40, 5000]
TOP_P = [None, 1e-9, 0.5, 0.9, 1.0]
GRID = [
    {"temperature": t, "top_k": k, "top_p": p}
    for t, k, p in itertools.product(TEMPERATURES, TOP_K, TOP_P)
]


@pytest.mark.parametrize("name", LOGITS)
def test_distributions_are_those_of_numpy(call, name):
    logits = LOGITS[name].astype(np.float32)
    ours = call(FILTER, {"logits": logits.tolist(), "all": GRID})
    for settings_, found in zip(GRID, ours, strict=True):
        expected = sampling.distribution(logits[None], **settings_)[0]
        p = np.array(found["probabilities"])
        np.testing.assert_allclose(p, expected, rtol=0, atol=1e-12)
        assert np.array_equal(p > 0, expected > 0), settings_
        before = sampling.distribution(logits[None], settings_["temperature"])[0]
        np.testing.assert_allclose(found["before"], before, rtol=0, atol=1e-12)
        nats = -(p[p > 0] * np.log(p[p > 0])).sum()
        assert found["entropy"] == pytest.approx(nats, abs=1e-9)
        said_by_cuts(logits, settings_, found["cut"])


MANY = """({ logits, all, n }) => {
  const values = Float32Array.from(logits);
  return [minigpt.leaders(values, n), minigpt.leaders(values, 200), all.map((one) => {
    const kept = minigpt.filter(values, one).probabilities;
    return [...kept.keys()].filter((i) => kept[i] > 0)
      .reduce((sum, i) => [sum[0] + 1, sum[1] + i, sum[2] + kept[i] * i], [0, 0, 0]);
  })];
}"""


@pytest.mark.parametrize("step", [0.0, 0.5], ids=["all different", "ties"])
def test_a_vocabulary_of_gpt2(call, step):
    """Nothing is ranked that need not be: the same tokens are kept, with the same
    shares, as in NumPy, which ranks all."""
    logits = np.random.default_rng(5).normal(0, 3, 50_257).astype(np.float32)
    if step:
        logits = np.round(logits / step) * np.float32(step)
    wanted = [one for one in GRID if one["temperature"] in (0.3, 1.0, 2.0)]
    ours = call(MANY, {"logits": logits.tolist(), "all": wanted, "n": 8})
    order = np.argsort(-logits, kind="stable").tolist()
    assert ours[:2] == [order[:8], order[:200]]
    for settings_, found in zip(wanted, ours[2], strict=True):
        p = sampling.distribution(logits[None], **settings_)[0]
        kept = np.flatnonzero(p)
        sums = [len(kept), kept.sum(), (p * np.arange(len(p))).sum()]
        np.testing.assert_allclose(found, sums, rtol=1e-9, err_msg=str(settings_))


def said_by_cuts(logits, wanted, cut):
    """Each token says which of the settings cut it, if any did."""
    scaled = sampling.scale(logits[None], wanted["temperature"])
    k, p = wanted["top_k"], wanted["top_p"]
    first = scaled if k is None else sampling.keep_top_k(scaled, k)
    last = first if p is None else sampling.keep_top_p(first, p)
    stages = {"temperature": scaled[0], "top_k": first[0], "top_p": last[0]}
    expected = np.full(len(logits), "", dtype="U11")
    for name, stage in reversed(stages.items()):
        expected[np.isneginf(stage)] = name
    assert cut == expected.tolist()


def test_any_settings(call):
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=30),
        st.floats(0.01, 10),
        st.none() | st.integers(1, 40),
        st.none() | st.floats(0, 1, exclude_min=True),
    )
    def holds(logits, temperature, top_k, top_p):
        one = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        found = call(FILTER, {"logits": logits, "all": [one]})[0]
        row = np.array([logits], np.float32)
        if top_p is None or not near_the_edge(row, one):
            expected = sampling.distribution(row, **one)[0]
            np.testing.assert_allclose(found["probabilities"], expected, atol=1e-12)
        assert sum(found["probabilities"]) == pytest.approx(1)

    holds()


def near_the_edge(logits, wanted):
    """Whether better tokens hold ``top_p`` but for rounding: then both are right."""
    p = sampling.distribution(logits, wanted["temperature"], wanted["top_k"])[0]
    held = np.cumsum(np.sort(p)[::-1])
    return (abs(held - wanted["top_p"]) < 1e-12).any()


def test_at_temperature_zero_the_first_of_the_greatest_is_left(call):
    one = {"temperature": 0, "top_k": 3, "top_p": 0.5}
    found = call(FILTER, {"logits": [1, 5, 2, 5, -3], "all": [one]})[0]
    assert found["probabilities"] == found["before"] == [0, 1, 0, 0, 0]
    assert found["cut"] == ["temperature", "", *["temperature"] * 3]
    assert found["entropy"] == 0


SEEDS = [0, 1, 12, 2**31 - 1, 2**32 - 1, 2**32, 2**53 - 1, *range(1000, 1040)]


def test_random_numbers_are_those_of_numpy(call):
    code = """(seeds) => seeds.map((seed) => {
      const random = new minigpt.Random(seed);
      return Array.from({ length: 50 }, () => random.next());
    })"""
    for seed, ours in zip(SEEDS, call(code, SEEDS), strict=True):
        assert ours == np.random.default_rng(seed).random(50).tolist()


SAMPLE = "({ p, us }) => us.map((u) => minigpt.sample(Float64Array.from(p), u))"


class Given:
    """In the place of a generator: numbers that are known."""

    def __init__(self, us):
        self.us = np.array(us)[:, None]

    def random(self, shape):
        assert shape == self.us.shape
        return self.us


@pytest.mark.parametrize(
    "p",
    [
        [0.5, 0.5],
        [0.0, 0.25, 0.0, 0.75, 0.0],
        [0.1] * 10,
        [1.0, 1e-17, 1e-17],  # a tail too thin to change the sum
        [0.0, 0.0, 1.0],
        [1 / 3, 1 / 3, 1 / 3],
    ],
)
def test_a_number_draws_the_token_that_python_draws(call, p):
    us = [0.0, 1e-300, 0.25, 0.5, 1 - 2**-53, *np.linspace(0, 1, 101)[:-1].tolist()]
    us += [np.nextafter(x, 0.0) for x in (0.1, 0.25, 0.5, 2 / 3)]
    expected = sampling.sample(np.array([p] * len(us)), Given(us)).tolist()
    assert call(SAMPLE, {"p": p, "us": [float(u) for u in us]}) == expected
    assert all(p[i] > 0 for i in expected)


def test_tokens_come_as_often_as_their_probabilities_say(call):
    """Pearson's chi-square, at one in 10,000 for four degrees of freedom."""
    p, n = np.array([0.5, 0.25, 0.15, 0.07, 0.03]), 20_000
    code = """({ logits, n }) => {
      const random = new minigpt.Random(1), counts = Array(5).fill(0);
      const p = minigpt.distribution(logits, { temperature: 2 });
      for (let i = 0; i < n; i++) counts[minigpt.sample(p, random.next())]++;
      return counts;
    }"""
    shares = np.array(call(code, {"logits": np.log(p).tolist(), "n": n})) / n

    def distance(p):
        return n * ((shares - p / p.sum()) ** 2 / (p / p.sum())).sum()

    assert distance(np.sqrt(p)) < 23.5 < distance(p)


def test_order_keeps_equals_as_they_stand(call):
    values = [3.0, 1.0, 3.0, 2.0, 1.0, 3.0]
    code = "(values) => minigpt.order(Float32Array.from(values))"
    expected = np.argsort(-np.array(values), kind="stable")
    assert call(code, values) == expected.tolist()
