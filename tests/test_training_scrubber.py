"""The training scrubber in the pages of the book, in Chromium."""

import math
import re

import numpy as np
import pytest
from engine.runners import too_wide
from scrubber_page import (
    ASK,
    LOSS,
    MOMENTS,
    RECORD,
    REX,
    TOKENS,
    TRAINING,
    at,
    cursor,
    figures,
    go,
    opened,
    percent,
    tokens,
)
from widget_pages import check_contrast, check_fit, check_targets

import minigpt as mg


@pytest.fixture
def scrubber(watched, address):
    return opened(watched, address)[1]


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


def test_play_walks_to_the_end_and_stops(watched, address):
    page, scrubber = opened(watched, address, alone=True)
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
