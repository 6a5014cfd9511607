"""A page answers while a widget works: long texts, quick clicks, and slow devices."""

import numpy as np
import pytest
from explorer_page import MODEL, finished, move, opened, press, write, written

import minigpt as mg
from minigpt.sampling import distribution

LONG = "Mia had a kite. " * 6250  # 100,000 characters
BEAT = """globalThis.gaps = [];
let last = null;
const beat = () => {
  const now = Date.now();
  if (last !== null) gaps.push(now - last);
  last = now;
  setTimeout(beat, 4);
};
beat();"""
# A device on which nothing is quick: each look at the clock costs it a second. The page
# beats while the bars wait for the model; then every piece that is read is one slice.
SLOW = """let now = 0;
performance.now = () => (now += 1000);
globalThis.beats = 0;
setInterval(() => {
  const bars = document.querySelector(".mgw-bars");
  if (bars?.getAttribute("aria-busy") === "true") beats++;
});"""
READ = ".mgw-bars[aria-busy=false]"


@pytest.fixture
def explorer(watched, address):
    return opened(watched, address)[1]


def longest_gap(page):
    """In milliseconds since the last time that this was asked. One longer is forgiven:
    other programs want the processor too."""
    return page.evaluate("gaps.splice(0).sort((a, b) => a - b).at(-2)")


def text_of(explorer):
    return explorer.get_by_role("textbox").input_value()


def ids_of(text, tok=MODEL[2]):
    return np.array([tok.eot, *tok.encode(text)])


def continued(text, count, **settings):
    """What NumPy writes after a text with the page's seed."""
    params, cfg, tok = MODEL
    ids = ids_of(text)
    out = mg.generate(params, ids, cfg, count, seed=12, stop=tok.eot, **settings)
    return tok.decode([i for i in out[len(ids) :] if i != tok.eot])


def best(text):
    """The greatest probability after a text, as a bar shows it."""
    params, cfg, _ = MODEL
    window = ids_of(text)[None, -cfg.n_ctx :]
    p = distribution(mg.gpt(params, window, cfg, last=True)[:, -1], 1.0)
    return f"{p.max():.3f}"


DRAG = """async (root) => {
  const sliders = [...root.querySelectorAll("input[type=range]")];
  for (let turn = 0; turn < 12; turn++)
    for (const slider of sliders) {
      slider.value = turn % 2 ? slider.max : slider.min;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise(requestAnimationFrame);
    }
}"""


def test_no_pause_however_it_is_used(explorer):
    """Twice the longest pause of the page at rest is the machine's, not ours."""
    page = explorer.page
    page.evaluate(BEAT)
    page.wait_for_timeout(1000)
    bound = 200 + 2 * longest_gap(page)
    write(explorer, LONG)
    explorer.locator(READ).wait_for()
    assert longest_gap(page) < bound
    press(explorer, "Write")  # the window slides with every token
    explorer.locator(".mgw").evaluate(DRAG)
    assert longest_gap(page) < bound
    finished(explorer)
    for name, value in (("temperature", "3.00"), ("top-k", "all 576")):
        slider = explorer.get_by_role("slider", name=name)
        assert slider.get_attribute("aria-valuetext") == value
    assert longest_gap(page) < bound
    assert "".join(written(explorer))


def test_twenty_quick_clicks_are_twenty_clicks(explorer):
    text, button = text_of(explorer), explorer.locator(".mgw-main")
    clicks = "button => { for (let i = 0; i < 20; i++) button.click(); }"
    button.evaluate(clicks)
    assert button.inner_text() == "Write"  # ten times on, ten times off
    one = explorer.get_by_role("button", name="One token")
    one.evaluate(clicks)
    assert "".join(written(explorer)) == continued(text, 20)
    press(explorer, "Reset")
    button.evaluate(clicks.replace("20", "21"))
    assert button.inner_text() == "Stop"
    assert finished(explorer) == continued(text, 80)


def test_a_slow_device_reads_in_slices(watched, address):
    page, explorer = slow_page(watched, address)
    write(explorer, LONG)
    explorer.locator(READ).wait_for()
    page.wait_for_function("beats >= 8")  # of the 12 slices that 96 tokens need
    kept = text_of(explorer)
    assert len(kept) == 5000
    assert explorer.locator(".mgw-share").first.inner_text() == best(kept)
    for _ in range(3):  # the window slides, and is read anew
        page.evaluate("beats = 0")
        press(explorer, "One token")
        explorer.locator(READ).wait_for()
        assert page.evaluate("beats") >= 4
    assert "".join(written(explorer)) == continued(kept, 3)


def slow_page(watched, address):
    def slow(**options):
        page = watched(**options)
        page.add_init_script(SLOW)
        return page

    return opened(slow, address)


def test_a_slow_device_writes_the_same_text(watched, address):
    _, explorer = slow_page(watched, address)
    text = "Mia had a kite. " * 20
    write(explorer, text)
    press(explorer, "Write")
    move(explorer, temperature=1.0)  # while it reads: what is drawn is drawn once
    shares = explorer.locator(".mgw-share").all_inner_texts()
    assert len(shares) == 7
    assert finished(explorer) == continued(text, 80)


CHOOSE_AT_ONCE = """(root, text) => {
  const field = root.querySelector("textarea"), bars = root.querySelector(".mgw-bars");
  field.value = text;
  field.dispatchEvent(new Event("change"));
  const bar = bars.querySelectorAll("button")[1];
  const name = bar.querySelector(".mgw-token").textContent;
  const busy = bars.getAttribute("aria-busy");
  bar.click();
  return [busy, name];
}"""


def test_what_is_chosen_while_it_reads_comes_next(watched, address):
    """And what is typed meanwhile is read instead."""
    _, explorer = slow_page(watched, address)
    busy, name = explorer.evaluate(CHOOSE_AT_ONCE, "Mia had a kite. " * 20)
    assert busy == "true" and "".join(written(explorer)) == name.replace("␣", " ")
    write(explorer, "Mia had a")
    explorer.locator(READ).wait_for()
    assert written(explorer) == [""]
    assert explorer.locator(".mgw-share").first.inner_text() == best("Mia had a")
