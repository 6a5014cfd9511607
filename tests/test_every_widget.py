"""What all widgets owe to a reader alike: keys that are the browser's, writing systems
of all kinds."""

import pytest
from widget_pages import PAGES, opened

SEEN = {}  # each widget once, on the last page that has it
for page_name, widget_names in PAGES.items():
    SEEN |= dict.fromkeys(widget_names, page_name)
WRITTEN = [widget for widget in SEEN if widget != "TrainingScrubber"]
SHORTCUTS = """root => {
  const keys = ["ArrowLeft", "ArrowRight", "ArrowDown", "Home", "End"], taken = [];
  for (const part of root.querySelectorAll("button, [tabindex]"))
    for (const key of keys)
      for (const modifier of ["altKey", "ctrlKey", "metaKey"]) {
        const about = { key, [modifier]: true, bubbles: true, cancelable: true };
        if (!part.dispatchEvent(new KeyboardEvent("keydown", about)))
          taken.push(`${modifier} ${key} at ${part.className}`);
      }
  return taken;
}"""
COMPOSED = """async (field, pause) => {
  const wait = () => new Promise((go) => setTimeout(go, pause));
  field.value = "ni";
  field.dispatchEvent(new InputEvent("input", { isComposing: true }));
  await wait();
  const before = told();
  field.value = "你";
  field.dispatchEvent(new CompositionEvent("compositionend"));
  await wait();
  return [before, told()];
}"""


@pytest.mark.parametrize(("widget", "name"), SEEN.items())
def test_shortcuts_stay_the_browsers(watched, address, widget, name):
    """Alt with an arrow goes a page back, Control with End to the page's end."""
    _, alive = opened(watched, address, name, widget)
    assert alive.locator("button").count()
    assert alive.evaluate(SHORTCUTS) == []


@pytest.mark.parametrize("widget", WRITTEN)
def test_half_a_word_that_is_being_composed_is_not_read(watched, address, widget):
    """Chinese is typed in Latin letters, which are not yet the text."""
    page, alive = opened(watched, address, SEEN[widget], widget)
    field = alive.get_by_role("textbox", name="Your text")
    field.evaluate(  # all but the voice, which waits for its turn
        """field => { const parts = [...field.closest(".mgw").children].slice(0, -1);
        globalThis.told = () => parts.map((part) => part.innerText).join(); }"""
    )
    at_first = page.evaluate("told()")
    before, after = field.evaluate(COMPOSED, 300)
    assert before == at_first and after != at_first
    assert field.get_attribute("dir") == "auto"  # for what is written from the right


@pytest.mark.parametrize("widget", WRITTEN)
def test_half_a_character_is_replaced(watched, address, widget):
    """No Python text can hold it, and no tokenizer reads it."""
    _, alive = opened(watched, address, SEEN[widget], widget)
    field = alive.get_by_role("textbox", name="Your text")
    field.evaluate(
        """field => { field.value = "a\\ud83d 🍓";
        field.dispatchEvent(new Event("change")); }"""
    )
    assert field.input_value() == "a\ufffd 🍓"
