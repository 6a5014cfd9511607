"""Looking inside: on small models of which no number is special, and the chapter."""

import re
from pathlib import Path

import numpy as np
import pytest
from small_model import CFG, batch, noisy, same

import minigpt as mg
from minigpt import inside, models, ops

IDS = batch()[0]
HEADS = [(i, h) for i in range(CFG.n_layer) for h in range(CFG.n_head)]
CHAPTER = Path(__file__).parents[1] / "book" / "13-looking-inside.md"


def untied(params):
    rng = np.random.default_rng(8)
    weight = rng.standard_normal((CFG.vocab_size, CFG.n_embd))
    return params | {"lm_head": {"weight": weight}}


PARAMS = noisy()
MODELS = pytest.mark.parametrize(
    "params", [PARAMS, untied(PARAMS)], ids=["tied", "own"]
)


@MODELS
def test_parts_count_every_number_once(params):
    counts = inside.parts(params)
    assert sum(counts.values()) == mg.tree.size(params)
    assert counts["MLP"] == CFG.n_layer * (8 * 12 * 12 + 5 * 12)
    assert counts["token table"] == 13 * 12
    assert ("output table" in counts) == ("lm_head" in params)
    assert inside.parts(params | {"head": {"weight": np.ones(5)}})["other"] == 5


@MODELS
def test_the_stream_ends_in_the_models_logits(params):
    stages = inside.stream(params, IDS, CFG)
    assert list(stages) == [
        "embedding", "attention 0", "MLP 0", "attention 1", "MLP 1",
    ]  # fmt: skip
    logits = mg.gpt(params, IDS, CFG)
    assert np.allclose(inside.lens(params, CFG, stages["MLP 1"]), logits)
    assert not np.allclose(inside.lens(params, CFG, stages["MLP 0"]), logits)


def test_each_half_block_adds_what_it_computes():
    stages, block = inside.stream(PARAMS, IDS, CFG), PARAMS["h"][1]
    x = stages["MLP 0"]
    seen = mg.layers.layer_norm(x, block["ln_1"])
    x = x + mg.attention.self_attention(seen, block["attn"], CFG.n_head)
    assert np.allclose(x, stages["attention 1"])
    seen = mg.layers.layer_norm(x, block["ln_2"])
    assert np.allclose(x + mg.layers.mlp(seen, block["mlp"]), stages["MLP 1"])


def test_the_lens_and_the_neurons_use_the_models_own_epsilon():
    loose = mg.Config(
        vocab_size=13, n_ctx=8, n_embd=12, n_layer=2, n_head=3, layer_norm_eps=0.5
    )
    stages = inside.stream(PARAMS, IDS, loose)
    logits = mg.gpt(PARAMS, IDS, loose)
    assert np.allclose(inside.lens(PARAMS, loose, stages["MLP 1"]), logits)
    fires = inside.neurons(PARAMS, loose, stages["attention 1"], 1)
    wrong = inside.neurons(PARAMS, CFG, stages["attention 1"], 1)
    assert not np.allclose(fires, wrong)
    proj = PARAMS["h"][1]["mlp"]["c_proj"]
    written = fires @ proj["weight"] + proj["bias"]
    assert np.allclose(stages["attention 1"] + written, stages["MLP 1"])


def test_the_stream_can_be_followed_after_something_was_replaced():
    tap = inside.replace_heads({(0, 1): 0.0})
    changed, usual = (
        inside.stream(PARAMS, IDS, CFG, tap),
        inside.stream(PARAMS, IDS, CFG),
    )
    assert np.array_equal(changed["embedding"], usual["embedding"])
    assert not np.allclose(changed["attention 0"], usual["attention 0"])
    logits = mg.gpt(PARAMS, IDS, CFG, tap=tap)
    assert np.allclose(inside.lens(PARAMS, CFG, changed["MLP 1"]), logits)
    watched = inside.watched(PARAMS, IDS, CFG, tap)
    assert not watched["h.0.attn.heads"][:, 1].any()
    assert np.array_equal(watched["logits"], logits)


def test_a_single_token_gets_the_sum_of_all_head_matrices():
    attn, x = (
        PARAMS["h"][0]["attn"],
        np.random.default_rng(0).standard_normal((1, 1, 12)),
    )
    bare = {name: {"weight": attn[name]["weight"]} for name in ("c_attn", "c_proj")}
    by_heads = sum(x @ inside.head_matrix(PARAMS, CFG, 0, h) for h in range(CFG.n_head))
    assert np.allclose(mg.attention.self_attention(x, bare, CFG.n_head), by_heads)
    assert np.linalg.matrix_rank(inside.head_matrix(PARAMS, CFG, 1, 2)) == 4


def test_averages_are_over_the_marked_positions_of_each_head():
    seen = inside.watched(PARAMS, IDS, CFG)
    where = np.zeros(IDS.shape, bool)
    where[0, 2] = where[2, 5] = True
    found = inside.average(seen, CFG, where)
    assert list(found) == HEADS
    for (layer, head), mean in found.items():
        heads = seen[f"h.{layer}.attn.heads"]
        assert np.allclose(mean, (heads[0, head, 2] + heads[2, head, 5]) / 2)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_replaced_where_marked_and_nowhere_else(head):
    logits, seen = mg.gpt(PARAMS, IDS, CFG), inside.watched(PARAMS, IDS, CFG)
    own = seen[f"h.{head[0]}.attn.heads"][:, head[1]]
    same_again = mg.gpt(PARAMS, IDS, CFG, tap=inside.replace_heads({head: own}))
    assert np.allclose(same_again, logits)
    where = np.arange(IDS.shape[1]) == np.array([[3], [5], [7]])
    tap = inside.replace_heads({head: np.ones(4)}, where)
    changed = np.abs(mg.gpt(PARAMS, IDS, CFG, tap=tap) - logits).max(axis=-1)
    for row, at in enumerate((3, 5, 7)):
        assert changed[row, :at].max() < 1e-9 < 1e-4 < changed[row, at]
    everywhere = mg.gpt(PARAMS, IDS, CFG, tap=inside.replace_heads({head: np.ones(4)}))
    assert np.abs(everywhere - logits).max(axis=-1).min() > 1e-6
    name, found = f"h.{head[0]}.attn.heads", seen[f"h.{head[0]}.attn.heads"]
    kept = found.copy()
    tap("ln_f", found), tap(name, found)
    assert np.array_equal(found, kept)  # what the tap is shown stays as it is


def test_several_heads_of_a_layer_are_replaced_together():
    tap = inside.replace_heads(dict.fromkeys(HEADS, 0.0))
    params = mg.tree.flatten(PARAMS)
    for i in range(CFG.n_layer):
        params[f"h.{i}.attn.c_proj.weight"] = np.zeros((12, 12))
    silent = mg.gpt(mg.tree.unflatten(params), IDS, CFG)
    assert np.allclose(mg.gpt(PARAMS, IDS, CFG, tap=tap), silent)


def test_an_effect_is_a_paired_mean_with_its_standard_error():
    rng = np.random.default_rng(3)
    before, after = rng.random(50), rng.random(50)
    mean, error = inside.effect(before, after)
    d = after - before
    assert np.isclose(mean, d.sum() / 50)
    assert np.isclose(error, np.sqrt(((d - mean) ** 2).sum() / (50 * 49)))
    draws = [inside.effect(np.zeros(40), rng.normal(0.3, 2, 40)) for _ in range(800)]
    covered = np.mean([abs(m - 0.3) < 2 * e for m, e in draws])
    assert 0.92 < covered < 0.98
    for wrong in ([1.0], 3.0, np.ones((2, 2))):
        with pytest.raises(ValueError, match="one number a case, and at least two"):
            inside.effect(wrong, wrong)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_neuron_that_is_held_at_its_mean_adds_the_mean(layer):
    before, j, mean = mg.tree.flatten(PARAMS), 17, 0.7
    held = inside.without_neuron(PARAMS, layer, j, mean)
    usual, changed = (inside.stream(p, IDS, CFG) for p in (PARAMS, held))
    at = f"attention {layer}"
    assert np.allclose(usual[at], changed[at])
    fires = inside.neurons(PARAMS, CFG, usual[at], layer)[..., j, None]
    row = PARAMS["h"][layer]["mlp"]["c_proj"]["weight"][j]
    difference = changed[f"MLP {layer}"] - usual[f"MLP {layer}"]
    assert np.allclose(difference, (mean - fires) * row)
    after = mg.tree.flatten(held)
    shared = {name for name in before if before[name] is after[name]}
    proj = f"h.{layer}.mlp.c_proj"
    assert set(before) - shared == {f"{proj}.weight", f"{proj}.bias"}
    assert same(PARAMS, noisy())


def test_a_neuron_keeps_float32():
    params = mg.load("tales")[0]
    for mean in (0.25, np.float64(0.25)):
        flat = mg.tree.flatten(inside.without_neuron(params, 0, 3, mean))
        assert {a.dtype for a in flat.values()} == {np.dtype(np.float32)}


def test_texts_become_a_batch_that_remembers_where_they_end():
    _, _, tok = mg.load("tales")
    texts = ["Once there was", "Once"]
    ids, last = inside.batch(tok, texts)
    assert ids.shape == (2, 4) and last.tolist() == [3, 1]
    assert [
        tok.decode(row[1 : end + 1]) for row, end in zip(ids, last, strict=True)
    ] == texts
    assert (ids[:, 0] == tok.eot).all()
    letters = mg.CharTokenizer("abc")
    assert inside.batch(letters, ["ab", "cab"])[0].tolist() == [[0, 1, 0], [2, 0, 1]]
    for nothing in ([], ["a", ""]):
        with pytest.raises(ValueError, match="at least one text, none empty"):
            inside.batch(letters, nothing)


def test_the_chance_of_an_answer_is_the_product_of_its_tokens():
    params, cfg, tok = mg.load("tales")
    text, answer = "Once there was a girl called", " Mia. She had"
    ids, new = [tok.eot, *tok.encode(text)], tok.encode(answer)
    expected = 1.0
    for token in new:
        logits = mg.gpt(params, np.array([ids]), cfg, last=True)[0, 0]
        expected *= ops.softmax(logits.astype(float))[token]
        ids = [*ids, token]
    found = inside.chances(params, cfg, tok, text, [answer, " Rex."])
    assert np.isclose(found[answer], expected, rtol=1e-3) and len(new) > 2
    names = [" " + name for name in mg.tales.world().pools["children"]]
    assert (
        0.99 < sum(inside.chances(params, cfg, tok, text, names).values()) <= 1 + 1e-6
    )


def code_cells(until):
    text = CHAPTER.read_text("utf8").split(until)[0]
    cells = re.findall(r"```\{code-cell\} ipython3\n(.*?)```", text, re.S)
    return [re.sub(r"(?m)^:tags:.*\n", "", cell) for cell in cells]


@pytest.mark.slow
def test_the_chapter_runs_on_a_model_of_gpt2s_make(tmp_path, capsys):
    """Another tokenizer, more layers and heads, an output table of its own."""
    tok = models._published_tokenizer() or mg.BPETokenizer.train(
        CHAPTER.read_text("utf8"), 700, ("<|endoftext|>",)
    )
    cfg = mg.Config(
        vocab_size=tok.vocab_size, n_ctx=128, n_embd=120, n_layer=3, n_head=12
    )
    params = noisy(cfg, np.float32)
    params["lm_head"] = {"weight": params["wte"]["weight"][::-1].copy()}
    mg.save(tmp_path, params, cfg, tok)
    cells, names = code_cells("## Exercises"), {"display": print}
    assert cells[1].startswith('MODEL = "tales"')
    cells[1] = f"MODEL = {str(tmp_path)!r}"
    for cell in cells:
        exec(compile(cell, cell.strip().splitlines()[0], "exec"), names)
    assert names["cfg"] == cfg and len(names["heads"]) == 36
    assert names["spectra"]["token table"].shape == (120,)
    assert set(names["kinds"]) == {"named first", "named second"}
    assert len(names["stages"]) == 7 and "right: " in capsys.readouterr().out
