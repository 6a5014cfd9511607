"""The training scrubber: in the pages of the book, under Python, and under a kernel."""

import copy
import html
import json
import math
import re

import numpy as np
import pytest
import traitlets
import widget_pages
from engine.runners import too_wide
from stand_in import in_page
from widget_pages import check_contrast, check_fit, check_targets

import minigpt as mg
from minigpt.assets import retrain

widgets = pytest.importorskip("minigpt.widgets", reason="anywidget is missing")
LOSS, TRAINING = "08-training-loss.html", "10-training.html"
RECORD = json.loads((retrain.FOLDER / "history.json").read_text("utf-8"))
MOMENTS, TOKENS = RECORD["moments"], RECORD["tokens"]
ASK, REX = 44, 30  # the question mark, and the name that is the answer


def opened(watched, address, name=TRAINING, **options):
    page, found = widget_pages.opened(
        watched, address, name, "TrainingScrubber", **options
    )
    found.scroll_into_view_if_needed()
    found.locator(".mgw-curve-cursor").wait_for(state="attached")
    return page, found


@pytest.fixture
def scrubber(watched, address):
    return opened(watched, address)[1]


def go(scrubber, moment):
    scrubber.get_by_role("slider", name="moment").fill(str(moment))


def at(scrubber):
    return int(scrubber.get_by_role("slider", name="moment").input_value())


def figures(scrubber):
    """What is read out: name and value."""
    names = scrubber.locator("dt").all_inner_texts()
    return dict(zip(names, scrubber.locator("dd").all_inner_texts(), strict=True))


def percent(loss, least):
    above = 100 * (loss / least - 1)
    return f"{above:,.0f} %" if above >= 100 else f"{above:.1f} %"


def tokens(scrubber):
    return scrubber.get_by_role("listbox").get_by_role("option")


def cursor(scrubber):
    return scrubber.locator(".mgw-curve-cursor").evaluate(
        "g => new DOMMatrix(g.style.transform).m41"
    )


def test_every_moment_shows_what_the_record_holds(scrubber):
    for place, moment in enumerate(MOMENTS):
        go(scrubber, place)
        loss = moment["val_loss"]
        assert figures(scrubber) == {
            "loss on held-out texts": f"{loss:.4f} nats",
            "perplexity": f"{math.exp(loss):.2f}",
            "above the floor": percent(loss, RECORD["floor"]),
            "above the perfect loss on these very texts": percent(
                loss, RECORD["perfect"]
            ),
        }
        slider = scrubber.get_by_role("slider", name="moment")
        assert slider.get_attribute("aria-valuetext") == f"step {moment['step']:,}"
        row = moment["attention"][ASK]
        said = scrubber.locator(".mgw-noted-look").inner_text()
        assert said.startswith(f"“?” looks {row[REX]:.2f} at “Rex”, ")
        best = int(np.argmax(row))
        most = f"and most, {row[best]:.2f}, at “{TOKENS[best].strip()}”."
        assert said.endswith("the most." if best == REX else most)
        told = tokens(scrubber).evaluate_all("all => all.map((one) => one.ariaLabel)")
        shares = [float(words.split()[-1]) for words in told[: ASK + 1]]
        assert np.allclose(shares, row, atol=0.0051)
        assert all(words.endswith("comes later") for words in told[ASK + 1 :])


def test_every_sample_stands_there_with_the_checkers_word(scrubber):
    signs = {c: 0x2400 + c for c in range(32) if c != 10} | {0x7F: "␡"}
    buttons = scrubber.get_by_role("group", name="sample").get_by_role("button")
    for place, moment in enumerate(MOMENTS):
        go(scrubber, place)
        for i, text in enumerate(moment["samples"]):
            buttons.nth(i).click()
            shown = scrubber.locator(".mgw-written").evaluate("p => p.textContent")
            assert shown == text.translate(signs)
            problems = mg.tales.check(text).problems
            verdict = scrubber.locator(".mgw-verdict").inner_text()
            sign = "✗" if problems else "✓"
            assert buttons.nth(i).inner_text() == f"{i + 1} {sign}"
            assert buttons.nth(i).get_attribute("aria-pressed") == "true"
            if problems:
                told = [fault for fault in problems if fault.startswith("Sentence")]
                assert verdict.startswith(f"✗ Not sound: {(told or problems)[0]}")
                more = f"(and {len(problems) - 1} more)"
                assert (more in verdict) == (len(problems) > 1)
            else:
                assert verdict == "✓ A sound tale."


def heights(scrubber, kind):
    """Where the drawn points are, from the top."""
    return scrubber.locator(kind).evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().y)"
    )


def test_the_curve_is_drawn_at_the_recorded_losses(scrubber):
    dots = scrubber.locator(".mgw-curve-dot").evaluate_all(
        "all => all.map((one) => [+one.getAttribute('cx'), +one.getAttribute('cy')])"
    )
    x, y = np.transpose(dots)
    losses = [moment["val_loss"] for moment in MOMENTS]
    slope, start = np.polyfit(losses, y, 1)
    assert slope < 0 and np.allclose(slope * np.array(losses) + start, y, atol=0.1)
    floor = float(scrubber.locator(".mgw-curve-floor").get_attribute("y1"))
    assert floor == pytest.approx(slope * RECORD["floor"] + start, abs=0.1)
    path = scrubber.locator(".mgw-curve-line").get_attribute("d")
    drawn = np.array([point.split() for point in re.split("[ML]", path)[1:]], float)
    told = slope * np.array(RECORD["loss"]) + start
    assert np.allclose(drawn[:, 1], told, atol=0.2)
    scrubber.get_by_role("combobox", name="steps").select_option("even")
    even = scrubber.locator(".mgw-curve-dot").evaluate_all(
        "all => all.map((one) => +one.getAttribute('cx'))"
    )
    steps = [moment["step"] for moment in MOMENTS]
    assert np.allclose(np.polyval(np.polyfit(steps, even, 1), steps), even, atol=0.1)
    assert not np.allclose(even, x, atol=20)
    before = heights(scrubber, ".mgw-curve-floor")
    scrubber.get_by_role("combobox", name="loss").select_option("near")
    assert heights(scrubber, ".mgw-curve-floor") != before


def test_a_loss_beyond_the_picture_gets_an_arrow(scrubber):
    sign = scrubber.locator(".mgw-curve-cursor path")
    scrubber.get_by_role("combobox", name="loss").select_option("near")
    go(scrubber, 0)
    arrow = sign.get_attribute("d")
    go(scrubber, 11)
    assert " 7 11" not in arrow and "l7 11" in arrow
    assert "l7 11" not in sign.get_attribute("d")


def test_the_curve_is_dragged(scrubber):
    go(scrubber, 0)
    curve = scrubber.locator(".mgw-curve > svg")
    box, mouse = curve.bounding_box(), scrubber.page.mouse
    dots = scrubber.locator(".mgw-curve-dot").evaluate_all(
        "all => all.map((one) => +one.getAttribute('cx'))"
    )
    mouse.move(box["x"] + dots[4] + 3, box["y"] + 60)
    mouse.down()
    assert at(scrubber) == 4
    for moment in (5, 9, 2):
        mouse.move(box["x"] + dots[moment] - 3, box["y"] + 80)
        assert at(scrubber) == moment
        assert cursor(scrubber) == pytest.approx(dots[moment], abs=0.6)
    mouse.up()
    mouse.move(box["x"] + dots[7], box["y"] + 80)
    assert at(scrubber) == 2


def test_play_walks_to_the_end_and_stops(scrubber):
    page = scrubber.page
    page.clock.install()
    page.reload()
    scrubber.get_by_role("slider").wait_for()
    go(scrubber, 9)
    scrubber.get_by_role("button", name="Play").click()
    page.clock.run_for(800)
    assert at(scrubber) == 10
    scrubber.get_by_role("button", name="Stop").click()
    page.clock.run_for(5000)
    assert at(scrubber) == 10
    scrubber.get_by_role("button", name="Play").click()
    page.clock.run_for(1500)
    assert at(scrubber) == 11
    assert not scrubber.get_by_role("button", name="Stop").count()
    scrubber.get_by_role("button", name="Play").click()  # from the beginning
    assert at(scrubber) == 0
    page.clock.run_for(1500)
    assert at(scrubber) == 1
    go(scrubber, 6)  # the reader's own hand ends it
    page.clock.run_for(5000)
    assert at(scrubber) == 6


def test_by_keyboard_alone(scrubber):
    page, slider = scrubber.page, scrubber.get_by_role("slider", name="moment")
    scrubber.get_by_role("button", name="Play").focus()
    names = []
    for _ in range(8):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return [e.closest(".mgw") !== null, e.ariaLabel || e.tagName,
                    s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2]; }"""
        )
        if not found[0]:
            break
        assert found[2], f"{found[1]} does not show its focus"
        names.append(found[1].split(",")[0])
    samples = [f"sample {i}" for i in (1, 2, 3)]
    assert names == ["moment", "SELECT", "SELECT", *samples, "?"]
    slider.focus()
    before = at(scrubber)
    for key, moment in (
        ("ArrowRight", before + 1),
        ("ArrowLeft", before),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", 11),
        ("ArrowRight", 11),
    ):
        page.keyboard.press(key)
        assert at(scrubber) == moment
    tokens(scrubber).nth(ASK).focus()
    page.keyboard.press("ArrowLeft")
    assert tokens(scrubber).nth(ASK - 1).evaluate("e => e === document.activeElement")
    row = MOMENTS[11]["attention"][ASK - 1]
    best = TOKENS[int(np.argmax(row))].strip()
    said = scrubber.locator(".mgw-noted-look").inner_text()
    assert said == f"“now” looks {max(row):.2f} at “{best}”, the most."
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    first = "“<|endoftext|>” looks 1.00 at “<|endoftext|>”, the most."
    assert scrubber.locator(".mgw-noted-look").inner_text() == first
    assert scrubber.locator('[aria-selected="true"]').count() == 1


def test_the_heat_map_has_the_rows_and_asks(scrubber):
    go(scrubber, 7)
    canvas = scrubber.locator(".mgw-noted-map canvas")
    alphas = canvas.evaluate(
        """c => [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]
            .filter((_, i) => i % 4 === 3)"""
    )
    drawn = (np.reshape(alphas, (len(TOKENS), len(TOKENS))) / 255) ** 2
    recorded = np.zeros_like(drawn)
    for row, shares in enumerate(MOMENTS[7]["attention"]):
        recorded[row, : row + 1] = shares
    assert np.abs(drawn - recorded).max() < 0.01
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    cell = box["width"] / len(TOKENS)
    place = {"x": (REX + 0.5) * cell, "y": (ASK + 0.5) * cell}
    tokens(scrubber).first.click()
    canvas.hover(position=place)
    share = MOMENTS[7]["attention"][ASK][REX]
    hint = scrubber.locator(".mgw-noted-hint")
    assert hint.inner_text() == f"“?” looks {share:.3f} at “Rex”"
    canvas.click(position=place)
    assert tokens(scrubber).nth(ASK).get_attribute("aria-selected") == "true"
    row, top = scrubber.locator(".mgw-noted-row").bounding_box(), ASK * cell
    assert row["y"] - box["y"] == pytest.approx(top, abs=2)


def test_what_changed_is_said(scrubber):
    scrubber.get_by_role("button", name="sample 2").click()
    go(scrubber, 7)
    scrubber.page.wait_for_function(
        "document.querySelector('.mgw-voice').textContent.includes('Step 1,200')"
    )
    said = scrubber.get_by_role("status").inner_text()
    assert "moment 8 of 12" in said and "0.4415 nats" in said
    assert "A sound tale." in said and "“?” looks 1.00 at “Rex”" in said


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        (LOSS, 360, "light"),
        (LOSS, 1280, "dark"),
        (TRAINING, 360, "dark"),
        (TRAINING, 1280, "light"),
    ],
)
def test_it_fits_and_is_read(watched, address, name, width, scheme):
    page, scrubber = opened(watched, address, name, width=width, scheme=scheme)
    for moment in (0, 11):
        go(scrubber, moment)
        assert not too_wide(page)
        check_fit(scrubber)
        check_contrast(scrubber)
    inside = scrubber.locator(".mgw-curve").bounding_box()
    curve = scrubber.locator(".mgw-curve > svg").bounding_box()
    assert curve["width"] == pytest.approx(inside["width"], abs=1)
    before = scrubber.locator(".mgw").evaluate("e => getComputedStyle(e).color")
    scrubber.get_by_role("button", name="sample 3").click()
    tokens(scrubber).nth(20).click()
    for _ in range(3):
        page.evaluate(
            """() => { const root = document.documentElement;
            root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; }"""
        )
        assert at(scrubber) == 11
    after = scrubber.locator(".mgw").evaluate("e => getComputedStyle(e).color")
    assert after != before
    pressed = scrubber.get_by_role("button", name="sample 3")
    assert pressed.get_attribute("aria-pressed") == "true"
    assert tokens(scrubber).nth(20).get_attribute("aria-selected") == "true"


def test_fingers_and_reduced_motion(watched, address):
    _, scrubber = opened(
        watched,
        address,
        width=360,
        has_touch=True,
        is_mobile=True,
        reduced_motion="reduce",
    )
    check_targets(scrubber)
    moves = "g => parseFloat(getComputedStyle(g).transitionDuration)"
    assert scrubber.locator(".mgw-curve-cursor").evaluate(moves) == 0


def test_the_pages_open_where_their_text_is(watched, address):
    for name in (LOSS, TRAINING):
        page, scrubber = opened(watched, address, name)
        assert 0 < at(scrubber) < 5
        state = scrubber.get_attribute("data-state")
        assert len(state.encode()) < 120_000
    own = page.locator('.minigpt-widget[data-widget="TrainingScrubber"]').nth(1)
    own.scroll_into_view_if_needed()
    go(own, 4)
    loss = float(figures(own)["loss on held-out texts"].split()[0])
    assert RECORD["floor"] * 0.97 < loss < RECORD["floor"] * 1.15


# Under Python.


def attribute(text, name):
    return html.unescape(re.search(rf' data-{name}="(.*?)"', text)[1])


def test_a_page_gets_a_still_picture_and_the_record():
    scrubber = widgets.TrainingScrubber(moment=5, sample=1)
    text = scrubber.html()
    assert attribute(text, "widget") == "TrainingScrubber"
    assert attribute(text, "model") == ""
    state = json.loads(attribute(text, "state"))
    assert (state["moment"], state["sample"], state["query"]) == (5, 1, ASK)
    shown = state["shown"]
    assert shown["loss"] == RECORD["loss"] and shown["floor"] == RECORD["floor"]
    for small, moment in zip(shown["moments"], MOMENTS, strict=True):
        assert small["val_loss"] == moment["val_loss"]
        flat = np.concatenate(moment["attention"])
        assert np.allclose(np.array(small["attention"]) / 1000, flat, atol=1e-9)
    assert "still picture" in text and "<svg" in text and len(text) < 120_000
    assert html.escape(MOMENTS[5]["samples"][1]) in text
    words = "Step 500, moment 6 of 12: loss 0.4971 nats, perplexity 1.64, 25.3 % above"
    assert words in repr(scrubber) and "“?” looks 0.92 at “Rex”" in repr(scrubber)
    scrubber.moment = 11
    assert "Step 14,000" in repr(scrubber) and "0.9 % above the floor" in repr(scrubber)


def test_the_record_knows_the_perfect_loss_on_its_own_texts():
    tok = mg.load("tales")[2]
    asked = mg.data.wrap(tok, retrain.stories(retrain.HELD_OUT, [retrain.SEED, 1]))
    assert RECORD["perfect"] == pytest.approx(retrain.cost(tok, asked), abs=1e-5)


def test_a_training_of_ones_own():
    params, cfg, tok = mg.load("tales")
    texts = mg.data.wrap(tok, retrain.stories(8, 5))
    history = retrain.History(cfg, tok, texts)
    for step, share in ((0, 0.1), (100, 1.0)):
        history(step, mg.tree.map(lambda a, share=share: a * np.float32(share), params))
    record = history.as_dict([3.0] * 50 + [1.0] * 50)
    scrubber = widgets.TrainingScrubber(record, 1)
    assert scrubber.shown["loss"] == [3.0, 1.0] and len(scrubber.shown["moments"]) == 2
    losses = [moment["val_loss"] for moment in record["moments"]]
    assert losses[1] < 0.5 < losses[0] and f"{losses[1]:.4f} nats" in repr(scrubber)
    assert record["perfect"] == pytest.approx(retrain.cost(tok, texts), abs=1e-5)


def test_the_least_record_and_a_long_one():
    moments = [{"step": 7, "val_loss": 2.5, "samples": ["tó be"]}]
    scrubber = widgets.TrainingScrubber({"moments": moments}, check=False)
    assert "attention" not in str(scrubber.shown) and "verdicts" not in str(
        scrubber.shown
    )
    assert repr(scrubber).endswith("loss 2.5000 nats, perplexity 12.18.")
    assert "tó be" in scrubber.html()
    long = {"moments": moments, "loss": [3.0, 1.0] * 1000, "loss_every": 2}
    shown = widgets.TrainingScrubber(long).shown
    assert len(shown["loss"]) == 400 and shown["loss_every"] == 10
    assert shown["loss"][:2] == [2.2, 1.8]


def broken(change):
    record = copy.deepcopy(RECORD)
    change(record)
    return record


BAD = [
    (lambda r: r.pop("moments"), "1 to 40 `moments`"),
    (lambda r: r["moments"].clear(), "1 to 40 `moments`"),
    (lambda r: r["moments"][2].pop("val_loss"), "moment 2 has no `val_loss`"),
    (lambda r: r["moments"][2].update(step=7), "steps must rise"),
    (lambda r: r["moments"][2].update(step=20), "steps must rise"),
    (lambda r: r["moments"][2].update(step=-1), "`step` is a number of steps, not -1"),
    (lambda r: r["moments"][1].update(val_loss=math.nan), "positive number of nats"),
    (lambda r: r["moments"][0].update(val_loss=1000.0), "up to 700, not 1000.0"),
    (lambda r: r["moments"][1].update(samples=[]), "one text or more"),
    (lambda r: r["moments"][1].update(samples=["a"]), "as many samples"),
    (lambda r: r["moments"][1].update(samples=["a" * 5000] * 3), "5,000 characters"),
    (
        lambda r: r.update(floor=-1),
        "nats up to 700, not -1",
    ),
    (lambda r: r["loss"].__setitem__(3, math.inf), r"`loss\[3\]` is a positive"),
    (lambda r: r.update(loss_every=0), "`loss_every` is a whole number"),
    (lambda r: r.update(tokens=[]), "1 to 128 `tokens`"),
    (lambda r: r["moments"][4].pop("attention"), "moment 4: `attention` has a row"),
    (lambda r: r["moments"][4]["attention"][3].pop(), "moment 4: `attention` has a"),
    (lambda r: r["moments"][4]["attention"][3].__setitem__(0, 7.0), "shares from 0"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_what_is_no_record_gets_a_sentence(change, words):
    with pytest.raises(ValueError, match=words):
        widgets.TrainingScrubber(broken(change))


def test_numbers_of_numpy_are_carried_by_a_page():
    moments = [{"step": np.int64(0), "val_loss": np.float32(2.5), "samples": ("a",)}]
    record = {"moments": moments, "floor": np.float32(1.25), "loss": np.ones(3)}
    record |= {"loss_every": np.int64(2)}
    scrubber = widgets.TrainingScrubber(record, check=False)
    assert json.loads(json.dumps(scrubber.shown)) == {
        "moments": [{"step": 0, "val_loss": 2.5, "samples": ["a"]}],
        "floor": 1.25,
        "loss": [1, 1, 1],
        "loss_every": 2,
    }
    assert "step 0" in scrubber.html()


def test_too_much_attention_and_no_dict_get_a_sentence():
    T = 128
    rows = [[0.5] * (t + 1) for t in range(T)]
    moments = [
        {"step": s, "val_loss": 1.0, "samples": ["a"], "attention": rows}
        for s in range(13)
    ]
    with pytest.raises(ValueError, match="13 moments over 128 tokens"):
        widgets.TrainingScrubber({"moments": moments, "tokens": ["a"] * T})
    with pytest.raises(ValueError, match="a record is a dict, not list"):
        widgets.TrainingScrubber([])


@pytest.mark.parametrize(
    ("trait", "value", "words"),
    [
        ("moment", 12, "moment is a whole number from 0 to 11, not 12"),
        ("sample", -1, "sample is a whole number from 0 to 2, not -1"),
        ("query", 49, "query is a whole number from 0 to 48, not 49"),
    ],
)
def test_places_that_are_not_there_are_refused(trait, value, words):
    with pytest.raises(ValueError, match=words):
        widgets.TrainingScrubber(**{trait: value})
    scrubber = widgets.TrainingScrubber()
    before = getattr(scrubber, trait)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(scrubber, trait, value)
    assert getattr(scrubber, trait) == before
    with pytest.raises(traitlets.TraitError, match="read-only"):
        scrubber.shown = {}


# Under a kernel.


@pytest.fixture
def views(browser):
    page, errors = in_page(browser, widgets.TrainingScrubber(moment=3))
    yield page
    page.close()
    assert not errors


def test_python_and_the_page_set_each_other(views):
    one, two = views.locator("#one"), views.locator("#two")
    go(one, 8)
    one.get_by_role("button", name="sample 2").click()
    tokens(one).nth(20).click()
    saved = views.evaluate("saved.at(-1)")
    assert (saved["moment"], saved["sample"], saved["query"]) == (8, 1, 20)
    assert at(two) == 8
    views.evaluate("python.set('moment', 2)")
    for view in (one, two):
        assert figures(view)["loss on held-out texts"] == "1.7861 nats"
    painted = "c => c.getContext('2d').getImageData(0, 0, 49, 49).data.some((v) => v)"
    assert one.locator("canvas").evaluate(painted)
    before = views.evaluate("heard()")
    two.get_by_role("button", name="Play").click()
    views.evaluate("close_two()")
    assert views.evaluate("heard()") == before - 3
    assert views.evaluate("python.values.moment") == 2


def test_a_record_without_attention_floor_and_verdicts_is_shown(browser):
    moments = [{"step": 0, "val_loss": 4.0, "samples": ["<b>&\u0007"]}]
    moments.append({"step": 9, "val_loss": 3.0, "samples": ["fine"]})
    widget = widgets.TrainingScrubber({"moments": moments}, check=False)
    page, errors = in_page(browser, widget)
    one = page.locator("#one")
    assert one.locator(".mgw-written").inner_text() == "<b>&␇"
    go(one, 1)
    assert figures(one) == {
        "loss on held-out texts": "3.0000 nats",
        "perplexity": "20.09",
    }
    assert (
        not one.locator("canvas").count() and one.locator(".mgw-curve-dot").count() == 2
    )
    page.close()
    assert not errors
