"""The widget's module under a stand-in for anywidget: the model comes as a message,
traits go both ways."""

import pytest
from stand_in import answer, in_page

import minigpt as mg

pytest.importorskip("anywidget", reason="anywidget is missing")
widgets = pytest.importorskip("minigpt.widgets")


@pytest.fixture
def page(context):
    explorer = widgets.SamplingExplorer(*mg.load("tales"), "Once a girl", seed=2)
    page, errors = in_page(context, explorer)
    yield page
    page.close()
    assert not errors


def test_what_the_reader_moves_reaches_python(page):
    page.locator("#one").get_by_role("slider", name="temperature").fill("0.35")
    page.locator("#one").get_by_role("slider", name="top-k").fill("51")
    page.locator("#one").get_by_role("button", name="One token").click()
    saved = page.evaluate("saved.at(-1)")
    assert saved["temperature"] == 0.35 and saved["top_k"] is None
    assert len(saved["new_ids"]) == 1
    page.locator("#one").get_by_role("slider", name="top-p").fill("0.5")
    assert page.evaluate("saved.at(-1).top_p") == 0.5


def test_what_python_sets_is_shown(page):
    page.evaluate("python.set('top_k', 2)")
    page.evaluate("python.set('text', 'The fox')")
    for view in ("#one", "#two"):
        bars = page.locator(f"{view} .mgw-share").all_inner_texts()
        assert [bar for bar in bars if bar != "cut: top-k"] == bars[:2]
        assert page.locator(f"{view} textarea").input_value() == "The fox"
    page.evaluate("python.set('new_ids', [300, 301])")
    tok = mg.load("tales")[2]
    assert page.locator("#one .mgw-story b").inner_text() == tok.decode([300, 301])


def test_what_python_begins_anew_is_pythons_to_tell(page):
    """Python empties ``new_ids`` itself. An answer would come late: after what it may
    have written meanwhile, as in ``e.text = "The fox"; e.write()``."""
    page.locator("#one").get_by_role("button", name="One token").click()
    assert len(page.evaluate("saved.at(-1).new_ids")) == 1
    page.evaluate("saved.length = 0")
    page.evaluate("python.update({ text: 'The fox', new_ids: [300, 301] })")
    page.evaluate("python.set('seed', 5); python.set('new_ids', [302])")
    assert page.evaluate("saved") == []
    assert page.evaluate("python.values.new_ids") == [302]
    for view in ("#one", "#two"):
        told = page.locator(f"{view} .mgw-story b").inner_text()
        assert told == mg.load("tales")[2].decode([302])
    page.locator("#one").get_by_role("slider", name="top-p").fill("0.5")
    assert page.evaluate("saved.at(-1).new_ids") == [302]
    page.locator("#one textarea").fill("A boy")  # what the reader begins anew is told
    page.wait_for_function("saved.at(-1).text === 'A boy'")
    assert page.evaluate("saved.at(-1).new_ids") == []


def test_two_views_of_one_widget_agree(page):
    page.locator("#one").get_by_role("button", name="Write", exact=True).click()
    page.locator("#one").get_by_role("button", name="Write", exact=True).wait_for()
    stories = page.locator(".mgw-story").all_inner_texts()
    assert stories[0] == stories[1] and len(stories[0]) > 40
    [params, cfg, tok] = mg.load("tales")
    explorer = widgets.SamplingExplorer(params, cfg, tok, "Once a girl", seed=2)
    explorer.write()
    assert page.evaluate("python.values.new_ids") == explorer.new_ids


def test_a_view_that_is_closed_hears_no_more(page):
    before = page.evaluate("heard()")
    page.locator("#two").get_by_role("button", name="Write", exact=True).click()
    page.evaluate("close_two()")
    assert page.evaluate("heard()") == before - 7
    count = page.evaluate("python.values.new_ids.length")
    page.wait_for_timeout(200)
    assert page.evaluate("python.values.new_ids.length") == count


CLOSED_EARLY = """async ({ code, answer }) => {
  const blob = new Blob([code], { type: "text/javascript" });
  const { default: made } = await import(URL.createObjectURL(blob));
  const heard = [], widget = made();
  const model = { on: (_, listen) => heard.push(listen), off: () => {},
    send: () => {}, get: () => { throw new Error("a closed view was drawn"); } };
  const el = document.createElement("div"), failed = [];
  addEventListener("unhandledrejection", ({ reason }) => failed.push(String(reason)));
  widget.initialize({ model });
  widget.render({ model, el })(); // closed at once
  const bytes = Uint8Array.from(atob(answer.weights), (c) => c.charCodeAt(0));
  heard[0](answer.content, [new DataView(bytes.buffer)]);
  await new Promise((go) => setTimeout(go, 50));
  return [heard.length, failed, el.children.length];
}"""


def test_a_view_that_is_closed_before_the_model_comes_is_not_drawn(browser):
    explorer = widgets.SamplingExplorer(*mg.load("tales"), "Once a girl")
    job = {"code": explorer._esm, "answer": answer(explorer)}
    with browser.new_page() as page:
        assert page.evaluate(CLOSED_EARLY, job) == [1, [], 0]
