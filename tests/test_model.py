"""The model: shapes, causality, cache, tap, dropout, initialisation, presets."""

import dataclasses

import numpy as np
import pytest
from small_model import CFG, batch, noisy

import minigpt as mg
from minigpt import attention, checkpoint, tree
from minigpt.model import new_caches

IDS, TARGETS, MASK = batch()
PARAMS = noisy()


def test_shapes_and_dtype():
    for dtype in (np.float32, np.float64):
        logits = mg.gpt(noisy(dtype=dtype), IDS, CFG)
        assert logits.shape == (3, 8, 13) and logits.dtype == dtype
    assert mg.gpt(PARAMS, IDS.tolist(), CFG).shape == (3, 8, 13)
    assert mg.gpt(PARAMS, IDS.astype(np.uint8)[:, :1], CFG).shape == (3, 1, 13)


def test_the_future_changes_nothing_earlier():
    before = mg.gpt(PARAMS, IDS, CFG)
    for t in range(CFG.n_ctx):
        changed = IDS.copy()
        changed[:, t] = (changed[:, t] + 1) % CFG.vocab_size
        after = mg.gpt(PARAMS, changed, CFG)
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert (np.abs(after[:, t:] - before[:, t:]).max(axis=(0, 2)) > 1e-6).all()


def test_rows_of_a_batch_do_not_see_each_other():
    whole = mg.gpt(PARAMS, IDS, CFG)
    for row in range(3):
        alone = mg.gpt(PARAMS, IDS[row : row + 1], CFG)
        np.testing.assert_allclose(alone, whole[row : row + 1], atol=1e-13)


def test_last_gives_the_last_position():
    last = mg.gpt(PARAMS, IDS, CFG, last=True)
    assert last.shape == (3, 1, 13)
    np.testing.assert_allclose(last, mg.gpt(PARAMS, IDS, CFG)[:, -1:], atol=1e-13)


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5, 6, 7), (3,), (2, 6)])
def test_a_cache_gives_what_the_whole_gives(cuts):
    caches = new_caches(CFG)
    parts = np.split(IDS, cuts, axis=1)
    logits = [mg.gpt(PARAMS, part, CFG, caches=caches) for part in parts]
    whole = mg.gpt(PARAMS, IDS, CFG)
    np.testing.assert_allclose(np.concatenate(logits, 1), whole, atol=1e-13)
    assert {c.length for c in caches} == {8}


def test_start_moves_the_positions():
    moved = mg.tree.map(np.array, PARAMS)
    moved["wpe"]["weight"] = np.roll(PARAMS["wpe"]["weight"], -3, axis=0)
    part = IDS[:, :4]
    shifted = mg.gpt(PARAMS, part, CFG, start=3)
    np.testing.assert_array_equal(shifted, mg.gpt(moved, part, CFG))
    assert np.abs(shifted - mg.gpt(PARAMS, part, CFG)).max() > 1e-3


def test_too_many_positions_get_a_sentence():
    long = np.zeros((1, 9), int)
    with pytest.raises(ValueError, match=r"8 positions .* cannot read 9 tokens"):
        mg.gpt(PARAMS, long, CFG)
    with pytest.raises(ValueError, match="cannot read 9"):
        mg.gpt(PARAMS, long[:, :2], CFG, start=7)
    cache = attention.Cache(2)
    with pytest.raises(ValueError, match="holds 2 positions and cannot take 3"):
        cache.extend(*np.ones((2, 1, 1, 3, 4)))
    assert cache.length == 0


def test_ids_of_another_rank_get_a_sentence():
    with pytest.raises(ValueError, match=r"ids of shape \(B, T\), .* have \(8,\)"):
        mg.gpt(PARAMS, IDS[0], CFG)


def test_an_output_head_of_its_own():
    head = {"weight": np.random.default_rng(1).standard_normal((13, 12))}
    seen = {}
    logits = mg.gpt(PARAMS | {"lm_head": head}, IDS, CFG, tap=seen)
    np.testing.assert_allclose(logits, seen["ln_f"] @ head["weight"].T)
    tied = PARAMS | {"lm_head": PARAMS["wte"]}
    np.testing.assert_array_equal(mg.gpt(tied, IDS, CFG), mg.gpt(PARAMS, IDS, CFG))


def test_tap_fills_a_dict():
    seen = {}
    logits = mg.gpt(PARAMS, IDS, CFG, tap=seen)
    inside = ["attn.weights", "attn.heads"]
    expected = [f"h.{i}{n}" for i in (0, 1) for n in (*("." + m for m in inside), "")]
    assert list(seen) == ["embedding", *expected, "ln_f"]
    weights = seen["h.1.attn.weights"]
    assert weights.shape == (3, 3, 8, 8)
    assert seen["h.0.attn.heads"].shape == (3, 3, 8, 4)
    np.testing.assert_allclose(weights.sum(-1), 1)
    assert (np.triu(weights, 1) == 0).all()
    np.testing.assert_allclose(logits, mg.gpt(PARAMS, IDS, CFG), rtol=1e-11)


def test_tap_replaces_what_it_returns_for():
    def silence(name, array):
        return 0.0 * array if name.startswith("h.1.attn.heads") else None

    params = tree.map(np.array, PARAMS)
    params["h"][1]["attn"]["c_proj"]["weight"][:] = 0
    expected = mg.gpt(params, IDS, CFG)
    np.testing.assert_allclose(
        mg.gpt(PARAMS, IDS, CFG, tap=silence), expected, rtol=1e-11
    )


def test_dropout_only_with_a_generator():
    cfg = dataclasses.replace(CFG, dropout=0.3)
    plain = mg.gpt(PARAMS, IDS, CFG)
    np.testing.assert_array_equal(mg.gpt(PARAMS, IDS, cfg), plain)
    one, two, again = (
        mg.gpt(PARAMS, IDS, cfg, rng=np.random.default_rng(s)) for s in (1, 2, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - two).max() > 1e-3 and np.abs(one - plain).max() > 1e-3
    still = mg.gpt(PARAMS, IDS, CFG, rng=np.random.default_rng(1))
    np.testing.assert_allclose(still, plain, rtol=1e-11)


def test_dropout_stands_where_gpt2_has_it():
    class Spy:
        shapes = []

        def random(self, shape, dtype):
            self.shapes.append(shape)
            return np.ones(shape, dtype)

    mg.gpt(PARAMS, IDS, dataclasses.replace(CFG, dropout=0.3), rng=Spy())
    x, weights = (3, 8, 12), (3, 3, 8, 8)
    assert Spy.shapes == [x] + 2 * [weights, x, x]  # embedding; attention, mlp


def test_the_loss_is_the_mean_over_what_the_mask_counts():
    logits = mg.gpt(PARAMS, IDS, CFG)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    nats = -np.log(np.take_along_axis(p, TARGETS[..., None], -1)[..., 0])
    assert np.isclose(mg.next_token_loss(PARAMS, IDS, TARGETS, CFG), nats.mean())
    masked = mg.next_token_loss(PARAMS, IDS, TARGETS, CFG, mask=MASK)
    assert np.isclose(masked, nats[MASK].mean())


# ---------------------------------------------------------------- init and Config


def test_init_is_gpt2s():
    cfg = mg.Config(vocab_size=500, n_ctx=64, n_embd=96, n_layer=8, n_head=4)
    flat = tree.flatten(mg.init(cfg, seed=3))
    for name, a in flat.items():
        assert a.dtype == np.float32
        if a.ndim == 1:
            norm = ".ln_" in name or name.startswith("ln_f")
            assert (a == float(norm and name.endswith("weight"))).all()
            continue
        std = 0.02 / (4 if "c_proj" in name else 1)  # √(2 · 8 blocks) = 4
        assert abs(a.std() / std - 1) < 5 / np.sqrt(2 * a.size)
        assert abs(a.mean()) < 5 * std / np.sqrt(a.size)


def test_init_depends_on_the_seed_alone():
    one, again, other = (tree.flatten(mg.init(CFG, seed)) for seed in (1, 1, 2))
    assert all((one[n] == again[n]).all() for n in one)
    assert not (one["wte.weight"] == other["wte.weight"]).any()
    start = mg.next_token_loss(mg.init(CFG), IDS, TARGETS, CFG)
    assert abs(start - np.log(13)) < 0.02


@pytest.mark.parametrize(
    "name, alias, count",
    [
        ("gpt2", "124M", 124_439_808),
        ("gpt2-medium", "355M", 354_823_168),
        ("gpt2-large", "774M", 774_030_080),
        ("gpt2-xl", "1558M", 1_557_611_200),
    ],
)
def test_presets_have_the_published_sizes(name, alias, count):
    cfg = mg.Config.preset(name)
    assert cfg == mg.Config.preset(alias)
    assert cfg.vocab_size == 50257 and cfg.n_ctx == 1024
    assert tree.size(checkpoint.outline(cfg)) == count


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"n_embd": 10}, "n_embd=10 channels cannot be cut into n_head=3"),
        ({"vocab_size": 0}, "vocab_size must be a whole number from 1, not 0"),
        ({"n_layer": 1.5}, "n_layer must be a whole number from 1, not 1.5"),
        ({"n_ctx": "8"}, "n_ctx must be a whole number from 1, not '8'"),
        ({"n_head": True}, "n_head must be a whole number from 1, not True"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), not 1.0"),
        ({"dropout": float("nan")}, "dropout must be in"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps must be between"),
    ],
)
def test_impossible_configs_get_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(CFG, **settings)


def test_unknown_presets_get_a_sentence():
    with pytest.raises(ValueError, match="no preset 'gpt3': choose of"):
        mg.Config.preset("gpt3")


def test_configs_hold_plain_numbers():
    cfg = dataclasses.replace(CFG, vocab_size=IDS.max() + 1)
    assert type(cfg.vocab_size) is int
    with pytest.raises(dataclasses.FrozenInstanceError):
        cfg.n_ctx = 3


def test_positions_are_added_to_tokens():
    seen = {}
    mg.gpt(PARAMS, IDS, CFG, tap=seen)
    x = PARAMS["wte"]["weight"][IDS] + PARAMS["wpe"]["weight"][:8]
    np.testing.assert_array_equal(seen["embedding"], x)
