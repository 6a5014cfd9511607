"""The walk through the whole model: its numbers are NumPy's, in Python and on the page,
and everybody can take it."""

import html
import json
import re

import numpy as np
import pytest
import traitlets
from engine.runners import model
from shape_walk_page import (
    FACTS,
    LONG,
    OPENED,
    TALES,
    TEXT,
    box,
    learned,
    near,
    number,
    opened,
    press,
    shape_words,
    walk,
    write,
)
from small_model import noisy

import minigpt as mg

pytest.importorskip("anywidget", reason="anywidget is missing")
widgets = pytest.importorskip("minigpt.widgets")

# ------------------------------------------------------------------------- in Python


def untied():
    """Three blocks of five heads, and a table of its own to write with."""
    cfg = mg.Config(vocab_size=259, n_ctx=12, n_embd=30, n_layer=3, n_head=5)
    params = noisy(cfg)
    params["lm_head"] = {"weight": noisy(cfg, seed=1)["wte"]["weight"]}
    return params, cfg, model("tied")[2]


@pytest.mark.parametrize("make", [lambda: TALES, lambda: model("tied"), untied])
def test_the_arrays_are_those_of_the_model(make):
    params, cfg, tok = make()
    found = widgets.ShapeWalk(params, cfg, tok, "a cat")
    a, tap = found.arrays, {}
    logits = mg.gpt(params, found.ids[None], cfg, tap=tap)[0]
    assert np.array_equal(a["logits"], logits)
    x = a["wte"] + a["wpe"]
    assert np.array_equal(x, a["embedding"])
    for i in range(cfg.n_layer):
        q, k, v = (a[f"h.{i}.attn.{n}"].swapaxes(0, 1) for n in "qkv")
        mask = np.tri(len(x), dtype=bool)
        weights = mg.attention.attention_weights(q[None], k[None], mask)[0]
        assert np.allclose(a[f"h.{i}.attn.weights"], weights, atol=1e-5)
        assert np.array_equal(tap[f"h.{i}.attn.weights"][0], a[f"h.{i}.attn.weights"])
        heads = (weights @ v).swapaxes(0, 1)
        assert np.allclose(a[f"h.{i}.attn.heads"], heads, atol=1e-3)
        assert np.allclose(a[f"h.{i}.halfway"], x + a[f"h.{i}.attn"], atol=1e-3)
        assert np.array_equal(tap[f"h.{i}"][0], a[f"h.{i}"])
        x = a[f"h.{i}.halfway"] + a[f"h.{i}.mlp"]
        assert np.allclose(x, a[f"h.{i}"], rtol=1e-4, atol=1e-3)
    assert np.isclose(a["softmax"].sum(), 1)
    assert sum(step.parameters for step in found.steps) == mg.tree.size(params)


def test_the_steps_name_shapes_and_chapters(request):
    cfg, found = TALES[1], walk()
    sizes = {"T": 9, "C": 128, "H": 8, "D": 16, "4C": 512, "V": cfg.vocab_size}
    for step in found.steps:
        assert step.shape == tuple(sizes[letter] for letter in step.letters.split())
        assert (request.config.rootpath / "book" / f"{step.chapter}.md").exists()
    assert len(found.steps) == 31 and found.steps[8].name == OPENED
    assert len(walk("").ids) == 1 and len(walk(LONG).ids) == 24
    assert walk(LONG).ids.tolist() == TALES[2].encode(LONG)[-24:]


def test_what_the_chapter_asks_has_the_answers_that_it_hints_at():
    one, other = (walk(f"Once a {who} called Mia had a red") for who in ("girl", "boy"))
    moved = {
        step.name: np.abs(one.arrays[step.name] - other.arrays[step.name]).max(-1) > 0
        for step in one.steps
        if step.letters == "T H D"
    }
    assert moved["h.0.attn.v"].any(-1).tolist() == [t == 3 for t in range(9)]
    assert moved["h.1.attn.q"].any(-1).tolist() == [t >= 3 for t in range(9)]
    grown = [np.linalg.norm(one.arrays[f"h.{i}{half}"], axis=-1).mean()
             for i in (0, 1) for half in (".halfway", "")]  # fmt: skip
    assert grown[-1] > 5 * grown[-2] and np.diff(grown)[-1] > max(np.diff(grown)[:-1])
    assert max(one.steps, key=lambda step: np.prod(step.shape)).name == "logits"
    assert max(one.steps, key=lambda step: step.parameters).name == "wte"


def test_a_step_that_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match=r"no step 'h\.2' to open: it can be one of ids"
    ):
        walk(opened="h.2")
    found = walk(opened="h.1")
    with pytest.raises(traitlets.TraitError, match="no step 'x'"):
        found.opened = "x"
    assert found.opened == "h.1"
    found.set_state({"opened": "", "text": "Tim"})  # as a page sends it
    assert (found.opened, found.text) == ("", "Tim")


def test_a_page_gets_a_still_picture_and_little_more():
    text = walk("<b>", opened=OPENED).html()
    state = json.loads(html.unescape(re.search(r' data-state="(.*?)"', text)[1]))
    assert state == {"text": "<b>", "opened": OPENED}
    assert "still picture" in text and "<svg" in text and "<p>&lt;b&gt;</p>" in text
    assert len(text) < 30_000 and 'data-model="tales"' in text
    assert "31 arrays of a forward pass of 9 tokens through 482,816" in repr(walk())


# ----------------------------------------------------------------------- on the page


@pytest.fixture
def alive(watched, address):
    return opened(watched, address)


@pytest.mark.parametrize("text", [TEXT, LONG, "", "🪁 Mia\u0000"])
def test_every_box_has_numpys_shape(alive, text):
    write(alive, text)
    press(alive, "Unfold all blocks")
    shapes = alive.locator(".mgw-sw-box .mgw-sw-shape").evaluate_all(
        "all => all.map((one) => one.textContent)"
    )
    feet = alive.locator(".mgw-sw-foot span:last-child").all_inner_texts()
    found = walk(text)
    assert shapes == [shape_words(step) for step in found.steps]
    assert feet == [learned(step) for step in found.steps]
    ids = alive.locator(".mgw-sw-chip small").all_inner_texts()
    assert [int(i) for i in ids] == found.ids.tolist()
    lengths = alive.locator(".mgw-sw-sum .mgw-sw-aside").all_inner_texts()
    stream = [
        s.name
        for s in found.steps
        if re.fullmatch(r"embedding|h\.\d(\.halfway)?", s.name)
    ]
    for words, name in zip(lengths, stream, strict=True):
        mean = np.linalg.norm(found.arrays[name], axis=-1).mean()
        assert abs(number(words.split()[-1]) - mean) < 0.06 + 1e-4 * mean


ALL_FACTS = f"""widget => {{
  const next = [...widget.querySelectorAll(".mgw-sw-nav button")]
    .find((one) => one.textContent === "Next");
  const facts = () => ({FACTS})(widget.querySelector(".mgw-sw-panel")), all = [facts()];
  while (!next.disabled) {{ next.click(); all.push(facts()); }}
  return all;
}}"""


@pytest.mark.parametrize("text", [TEXT, "The fox"])
def test_every_opened_step_shows_numpys_figures(alive, text, site):
    write(alive, text)
    found = walk(text)
    box(alive, "token ids").click()
    all_facts = alive.evaluate(ALL_FACTS)
    assert alive.get_by_role("button", name="Next", exact=True).is_disabled()
    for step, (name, figures, href) in zip(found.steps, all_facts, strict=True):
        assert name == step.name and figures.pop("shape") == shape_words(step)
        assert figures.pop("learned") == learned(step)
        page, _, place = href.partition("#")
        assert page == f"{step.chapter}.html"
        assert not place or f'id="{place}"' in (site / page).read_text("utf-8")
        a = found.arrays[step.name].astype(float)
        expected = dict(
            minimum=a.min(), maximum=a.max(), mean=a.mean(), deviation=a.std()
        )
        assert figures.keys() == (set() if name == "ids" else expected.keys())
        for which, words in figures.items():
            assert near(words, expected[which]), (name, which)


def test_a_single_number_by_pointer_and_by_keyboard(alive):
    a, readout = walk().arrays, alive.locator(".mgw-sw-readout")
    large = alive.locator(".mgw-sw-large")
    weights = a[OPENED]
    canvas = large.locator("canvas").nth(3)
    size = canvas.bounding_box()
    canvas.hover(position={"x": size["width"] * 1.5 / 9, "y": size["height"] * 8.5 / 9})
    share = f"{weights[3, 8, 1]:.3f} from “Once” (position 1)"
    assert readout.inner_text() == f"Head 3: “␣red” (position 8) takes {share}"
    large.press("ArrowUp")
    assert readout.inner_text().startswith("Head 3: “␣a” (position 7) takes")
    large.press("Home")
    large.press("End")
    assert readout.inner_text().startswith(
        "Head 7: “␣a” (position 7) cannot see “␣red”"
    )
    for name, steps, index, words in [
        ("queries", 17, (0, 1, 0), "the end token (position 0), head 1, channel 0: "),
        ("hidden layer", 3, (0, 2), "the end token (position 0), neuron 2: "),
        ("logits", 262, (0, 261), "the end token (position 0): score "),
        ("residual stream", 1, (0, 0), "the end token (position 0), channel 0: "),
    ]:
        box(alive, name).click()
        for _ in range(steps):
            large.press("ArrowRight")
        array = {"queries": "h.0.attn.q", "hidden layer": "h.0.mlp.hidden"}.get(
            name, name
        )
        value = a["embedding" if name == "residual stream" else array][index]
        told = readout.inner_text()
        assert told.startswith(words)
        assert near(told.removeprefix(words).removesuffix(" for “␣a”"), value)
