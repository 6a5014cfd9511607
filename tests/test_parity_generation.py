"""Writing beside Hugging Face's `generate`: greedy texts, batches, distributions."""

import numpy as np
import pytest
from golden.make_golden import CASES, greedy, reference, tokens, weights
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_model import import_or_skip

import minigpt as mg
from minigpt.sampling import distribution

torch = import_or_skip("torch")
transformers = import_or_skip("transformers")
transformers.utils.logging.disable_progress_bar()

TIE = 1e-5  # logits nearer than this may be ordered either way
SHAPES = [CASES["small"].cfg, CASES["untied"].cfg]
SHAPES += [mg.Config(101, n_ctx=48, n_embd=28, n_layer=4, n_head=2)]
each_shape = pytest.mark.parametrize("cfg", SHAPES, ids=lambda cfg: f"{cfg.n_embd}")
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture
def pair(cfg, dtype, tmp_path):
    """``(model, params)``: theirs, and ours as read from what theirs wrote."""
    model = reference(cfg, weights(cfg, 4, cfg is SHAPES[1], dtype), dtype)
    model.save_pretrained(tmp_path)
    return model, mg.load_gpt2(tmp_path)[0]


def same_until_a_tie(ours, theirs, gaps):
    """Every new token agrees, up to the first that two logits nearly share."""
    assert ours.shape == theirs.shape
    prompt = len(theirs) - len(gaps)
    ties = np.flatnonzero(gaps < TIE)
    end = prompt + ties[0] if ties.size else len(theirs)
    assert ours[:end].tolist() == theirs[:end].tolist()
    return end == len(theirs)


def window_by_window(model, ids, count):
    """``(ids, gaps)`` with nothing clever: the last n_ctx tokens, all anew each time.

    The reference's own ``generate`` stops at ``n_positions``; a text may go on."""
    row, gaps = list(ids), []
    for _ in range(count):
        window = torch.tensor([row[-model.config.n_positions :]])
        with torch.no_grad():
            best = model(window).logits[0, -1].topk(2)
        row.append(int(best.indices[0]))
        gaps.append(float(best.values[0] - best.values[1]))
    return np.array(row), np.array(gaps)


# ---------------------------------------------------------------- greedy


@each_dtype
@each_shape
@pytest.mark.parametrize("length", [1, 7])
def test_greedy_up_to_the_last_position(pair, cfg, length):
    model, params = pair
    ids = tokens(cfg, seed=length, rows=5, length=length)[:, :-1]
    count = cfg.n_ctx + 1 - length  # the last one is read off the last position
    theirs, gaps = greedy(model, ids, count)
    assert len({int(i) for i in theirs[:, length:].flat}) > 10  # no mere repetition
    assert theirs.shape == (5, cfg.n_ctx + 1)
    for cache in (True, False):
        ours = mg.generate(params, ids, cfg, count, temperature=0, cache=cache)
        rows = zip(ours, theirs, gaps, strict=True)
        assert sum(same_until_a_tie(*row) for row in rows) >= 4
    one = mg.stream(params, ids[0], cfg, count, temperature=0)
    assert same_until_a_tie(np.array([*ids[0], *one]), theirs[0], gaps[0])


@each_dtype
@each_shape
def test_greedy_beyond_the_last_position(pair, cfg):
    model, params = pair
    for length in (3, cfg.n_ctx + 4):
        ids = tokens(cfg, seed=8, rows=1, length=length)[0, :-1]
        count = cfg.n_ctx + 12 - min(length, cfg.n_ctx)
        theirs, gaps = window_by_window(model, ids, count)
        for cache in (True, False):
            ours = mg.generate(params, ids, cfg, count, temperature=0, cache=cache)
            assert same_until_a_tie(ours, theirs, gaps)


@each_dtype
@each_shape
def test_the_logits_of_each_cached_step(pair, cfg, dtype):
    model, params = pair
    ids = tokens(cfg, seed=9, rows=2, length=cfg.n_ctx)[:, :-1]
    theirs, past = [], None
    caches, ours = mg.model.new_caches(cfg), []
    for start, stop in [(0, 4), *((t, t + 1) for t in range(4, cfg.n_ctx - 3))]:
        fed = ids[:, start:stop].copy()
        with torch.no_grad():
            out = model(torch.from_numpy(fed), past_key_values=past, use_cache=True)
        past = out.past_key_values
        theirs.append(out.logits.numpy())
        ours.append(mg.gpt(params, fed, cfg, caches=caches))
    atol = {"float32": 1e-4, "float64": 1e-9}[dtype]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@each_dtype
@each_shape
def test_rows_that_end_before_others(pair, cfg):
    """Theirs, like ours, fills a row that has ended until the last has."""
    model, params = pair
    ids = tokens(cfg, seed=6, rows=4, length=5)[:, :-1].copy()
    free, _ = greedy(model, ids, cfg.n_ctx - 5)
    seen, counts = np.unique(free[:, 5:], return_counts=True)
    stop = int(seen[counts.argmax()])
    theirs, gaps = greedy(
        model, ids, cfg.n_ctx - 5, eos_token_id=stop, pad_token_id=stop
    )
    assert gaps.min() > TIE and (theirs != free[:, : theirs.shape[1]]).any()
    ours = mg.generate(params, ids, cfg, cfg.n_ctx - 5, temperature=0, stop=stop)
    assert ours.tolist() == theirs.tolist()


# ---------------------------------------------------------------- different lengths


def left_padded(prompts):
    """``(ids, attention_mask)`` as `transformers` wants texts of different lengths."""
    longest = max(map(len, prompts))
    ids = np.zeros((len(prompts), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, real, prompt in zip(ids, mask, prompts, strict=True):
        row[longest - len(prompt) :] = prompt
        real[longest - len(prompt) :] = 1
    return ids, mask


@each_dtype
@each_shape
@pytest.mark.parametrize("lengths", [(3, 9, 1, 6, 9), (1, 12), (5, 4)], ids=str)
def test_prompts_of_different_lengths(pair, cfg, lengths):
    model, params = pair
    prompts = [tokens(cfg, n, 1, n)[0, :-1] for n in lengths]
    ids, mask = left_padded(prompts)
    count = cfg.n_ctx + 1 - max(lengths)
    padded, gaps = greedy(model, ids, count, attention_mask=torch.from_numpy(mask))
    ours = mg.generate(params, prompts, cfg, count, temperature=0)
    assert isinstance(ours, list) and len(ours) == len(prompts)
    for mine, row, gap, prompt in zip(ours, padded, gaps, prompts, strict=True):
        theirs = row[ids.shape[1] - len(prompt) :]
        assert same_until_a_tie(mine, theirs, gap)


@each_dtype
@each_shape
def test_prompts_of_different_lengths_beyond_the_last_position(pair, cfg):
    model, params = pair
    prompts = [tokens(cfg, n, 1, n)[0, :-1] for n in (2, cfg.n_ctx - 2, 7)]
    ours = mg.generate(params, prompts, cfg, 12, temperature=0)
    for mine, prompt in zip(ours, prompts, strict=True):
        assert same_until_a_tie(mine, *window_by_window(model, prompt, 12))


# ---------------------------------------------------------------- what is drawn from


def theirs_from(logits, temperature, top_k, top_p):
    """The probabilities of their three processors, in the order of their `generate`."""
    scores = torch.from_numpy(logits)
    chain = [transformers.TemperatureLogitsWarper(float(temperature))]
    chain += [] if top_k is None else [transformers.TopKLogitsWarper(top_k)]
    chain += [] if top_p is None else [transformers.TopPLogitsWarper(top_p)]
    for warper in chain:
        scores = warper(None, scores)
    return scores.softmax(-1).numpy()


def on_the_edge(logits, temperature, top_k, top_p):
    """Whether rounding decides if some token is the last of the nucleus."""
    if top_p is None:
        return False
    p = -np.sort(-theirs_from(logits, temperature, top_k, None), axis=-1)
    return (np.abs(np.cumsum(p, axis=-1) - top_p) < 1e-12).any()


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    seed=st.integers(0, 2**32),
    vocab=st.integers(2, 300),
    spread=st.sampled_from([0.1, 1.0, 4.0, 20.0]),
    temperature=st.floats(0.05, 5.0),
    top_k=st.none() | st.integers(1, 310),
    top_p=st.none() | st.floats(0.001, 0.999),
)
def test_what_is_kept_and_how_likely(seed, vocab, spread, temperature, top_k, top_p):
    logits = spread * np.random.default_rng(seed).standard_normal((4, vocab))
    assume(not on_the_edge(logits, temperature, top_k, top_p))
    ours = distribution(logits, temperature, top_k, top_p)
    theirs = theirs_from(logits, temperature, top_k, top_p)
    np.testing.assert_array_equal(ours > 0, theirs > 0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_the_order_in_which_their_generate_applies_them():
    cfg = SHAPES[2]
    model = reference(cfg, weights(cfg, seed=4))
    chosen = {"temperature": 1.7, "top_k": 20, "top_p": 0.8}
    torch.manual_seed(0)
    out = model.generate(
        torch.from_numpy(tokens(cfg, 0, 6, 5)),
        attention_mask=torch.ones((6, 6), dtype=torch.int64),
        max_new_tokens=20,
        do_sample=True,
        pad_token_id=0,
        output_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
        **chosen,
    )
    kept = []
    for logits, scores in zip(out.logits, out.scores, strict=True):
        ours = distribution(logits.numpy(), **chosen)
        theirs = scores.softmax(-1).numpy()  # their scores are float32, always
        np.testing.assert_array_equal(ours > 0, theirs > 0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        kept += (ours > 0).sum(axis=-1).tolist()
    assert len(kept) == 120 and 1 < np.mean(kept) < 20  # both cut something off


def test_ties():
    """Of equally likely tokens top-k keeps all, in both; top-p keeps as many in both,
    but which ones is ours to say: the first ids (theirs: as its sort leaves them)."""
    logits = np.log([[0.1, 0.2, 0.2, 0.2, 0.2, 0.1]])
    ours, theirs = (f(logits, 1.0, 2, None) for f in (distribution, theirs_from))
    np.testing.assert_allclose(ours, theirs)
    assert (ours > 0).tolist() == [[False, True, True, True, True, False]]
    ours, theirs = (f(logits, 1.0, None, 0.5) for f in (distribution, theirs_from))
    np.testing.assert_allclose(np.sort(ours), np.sort(theirs))
    assert (ours > 0).tolist() == [[False, True, True, True, False, False]]


def test_a_nucleus_of_everything():
    """Where top_p is 1 their `generate` cuts nothing; we lose what rounding loses."""
    logits = 10 * np.random.default_rng(0).standard_normal((20, 300))
    ours = distribution(logits, 1.0, None, 1.0)
    theirs = theirs_from(logits, 1.0, None, None)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)
