"""Sampling: temperature, top-k and top-p give the distributions that they should."""

import numpy as np
import pytest

from minigpt.sampling import check_settings, choose, distribution, sample

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


def test_top_p_of_one_keeps_what_rounding_would_drop():
    logits = np.array([[0.0, -40.0, -60.0]])
    p = distribution(logits, 1.0, None, 1.0)
    np.testing.assert_array_equal(p, distribution(logits, 1.0))
    assert (p > 0).all()


def test_top_k_comes_before_top_p():
    # of the two kept, the first has 2/3: it alone reaches 0.6
    assert agrees(draws(top_k=2, top_p=0.6), [1, 0, 0, 0, 0])


def test_sampling_never_chooses_what_has_no_probability():
    class Ends:
        def random(self, shape):
            return np.resize([0.0, 1 - 2**-53], shape)

    p = np.repeat([[0.0, 0.3, 0.7, 0.0]], 2, axis=0)
    assert sample(p, Ends()).tolist() == [1, 2]


def test_check_settings_lets_the_sensible_pass():
    check_settings(0, 1, 1.0)
    check_settings(np.float32(0.7), np.int64(5), 0.1)
