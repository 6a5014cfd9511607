"""The page of a server that is slow, refuses, loads its model, or goes away and comes
back: the page says so, never freezes, and goes on."""

import threading

import pytest
from attention_page import labels
from explorer_page import finished, move, press, shown, write
from served_page import (
    Line,
    address,
    answered,
    continued,
    letters,
    message,
    opened,
    settle,
    text_of,
)
from server_runs import start
from test_server_page import agree, bars

import minigpt as mg
from minigpt.server import served

GONE = "The server does not answer: is it still running? This page asks again."
READING = "The model is reading…"
TALES = mg.load("tales")


@pytest.fixture(scope="module")
def server():
    with start("tales") as server:
        yield server


@pytest.fixture
def page(browser):
    """A page of its own: its console tells of what is tested here."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def line(page):
    return Line(page)


def said(explorer, words):
    """Wait until an explorer says something."""
    message(explorer).filter(has_text=words).wait_for()


def test_it_waits_until_the_model_is_loaded(page, monkeypatch):
    go, load = threading.Event(), served.load

    def slowly(*args):
        assert go.wait(60)
        return load(*args)

    monkeypatch.setattr(served, "load", slowly)
    with start("tales", wait=False) as server:
        page.goto(address(server))
        status = page.locator("#status")
        status.filter(has_text="The model is being loaded.").wait_for()
        assert page.locator("[data-place]:not([data-alive])").count() == 3
        go.set()
        explorer = answered(page)["next"]
        assert "483 thousand parameters" in status.inner_text()
        text = text_of(explorer)
        agree(shown(explorer), bars(TALES, text, temperature=1.0))


def test_a_model_that_cannot_be_loaded(page, monkeypatch):
    def broken(*args):
        raise ValueError("a weight is missing")

    monkeypatch.setattr(served, "load", broken)
    with start("tales", wait=False) as server:
        page.goto(address(server))
        status = page.locator("#status")
        status.filter(has_text="a weight is missing").wait_for()


def test_a_server_goes_and_comes_back(page):
    first = start("tales")
    url, port = address(first), int(first.url.rsplit(":", 1)[1])
    places = opened(page, url)
    before = shown(places["next"]), labels(places["looks"])
    first.stop()
    write(places["next"], "Twice a boy")
    write(places["looks"], "Twice a boy")
    for name in ("next", "looks"):
        said(places[name], GONE)
    still = places["next"].locator(".mgw-token, .mgw-share").all_inner_texts()
    assert still == [part for row in before[0] for part in row]
    assert labels(places["looks"]) == before[1]
    press(places["next"], "Write")  # it waits with us, and can be stopped
    move(places["next"], temperature=0.5)
    press(places["next"], "Stop")
    with start("tales", port=port):
        settle(places["next"])
        agree(shown(places["next"]), bars(TALES, "Twice a boy", temperature=0.5))
        places["looks"].locator(".mgw-looks[aria-busy=false]").wait_for()
        assert len(labels(places["looks"])) == 1 + len(TALES[2].encode("Twice a boy"))
        for name in ("next", "looks"):
            assert GONE not in message(places[name]).inner_text()


def test_a_server_goes_while_the_model_writes(page, monkeypatch):
    page.emulate_media(reduced_motion="reduce")
    first = start("tales")
    port = int(first.url.rsplit(":", 1)[1])
    line = Line(page)
    explorer = opened(page, address(first))["next"]
    line.holds = True
    press(explorer, "Write")
    said(explorer, READING)
    first.stop()
    line.free()
    said(explorer, GONE)
    with start("tales", port=port):
        wanted = continued(TALES, text_of(explorer), 80, seed=0)
        assert finished(explorer) == wanted


def test_a_refusal_is_a_sentence(page, line, server):
    places = opened(page, address(server))
    refusal = {"status": 422, "json": {"detail": "the model does not like Mondays"}}
    for name in ("next", "looks"):
        asked = len(line.asked)
        line.answers.append(refusal)
        write(places[name], "Monday")
        said(places[name], "the model does not like Mondays")
        places[name].locator("[aria-busy=false]").first.wait_for(state="attached")
        assert len(line.asked) == asked + 1
        write(places[name], "Once")  # what follows is asked for
        message(places[name]).filter(has_not_text="Mondays").wait_for(state="attached")
    settle(places["next"])
    agree(shown(places["next"]), bars(TALES, "Once", temperature=1.0))
    assert len(labels(places["looks"])) == 2


def test_a_busy_server_is_asked_again(page, line, server):
    explorer = opened(page, address(server))["next"]
    busy = {"status": 503, "json": {"detail": "256 requests wait already"}}
    line.answers += [busy | {"headers": {"Retry-After": "1"}}, busy]
    asked = len(line.asked)
    write(explorer, "Once")
    said(explorer, "256 requests wait already")
    settle(explorer)
    agree(shown(explorer), bars(TALES, "Once", temperature=1.0))
    assert len(line.asked) == asked + 3


def test_another_model_behind_the_page(page, line, server):
    places = opened(page, address(server))
    line.answers += [{"status": 200, "body": b"\0" * 400}]
    write(places["next"], "Once")
    said(places["next"], "sent 100 numbers, and the page expected 576")
    line.answers += [{"status": 200, "body": b"\0" * 400}]
    write(places["looks"], "Once")
    said(places["looks"], "sent 100 numbers, and the page expected 64")


def test_what_is_overtaken_is_called_off(page, line, server):
    """The last text counts, whenever answers come."""
    places = opened(page, address(server))
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.failure))
    for name, path in (("next", "logits"), ("looks", "attention")):
        line.holds = True
        write(places[name], "Once a girl")
        said(places[name], READING)
        line.holds = False
        with page.expect_event("requestfailed", lambda r, path=path: path in r.url):
            write(places[name], "Once a boy")
        line.free()
    assert failed == ["net::ERR_ABORTED"] * 2
    settle(places["next"])
    agree(shown(places["next"]), bars(TALES, "Once a boy", temperature=1.0))
    places["looks"].locator(".mgw-looks[aria-busy=false]").wait_for()
    assert "␣boy" in labels(places["looks"])[-1]


def test_a_slow_server_keeps_nothing_waiting(page, line, server):
    """While the model reads, sliders move, a token of one's own is taken, and tokens
    that were asked for come when they can."""
    explorer = opened(page, address(server))["next"]
    text = text_of(explorer)
    line.holds = True
    press(explorer, "One token")  # known already; the next is not
    press(explorer, "One token")
    move(explorer, temperature=2)
    said(explorer, READING)
    slider = explorer.get_by_role("slider", name="temperature")
    assert slider.get_attribute("aria-valuetext") == "2.00"
    move(explorer, temperature=1)
    line.free()
    wanted = continued(TALES, text, 2, seed=0)
    explorer.locator(".mgw-story b").filter(has_text=wanted).wait_for()
    settle(explorer)
    line.holds = True
    named = explorer.locator(".mgw-token").all_inner_texts()[1:3]
    for place in (1, 2):  # the second while the first is being read
        explorer.locator(".mgw-bars button").nth(place).click()
    told = explorer.locator(".mgw-story b").inner_text()
    assert told == wanted + "".join(named).replace("␣", " ")
    line.free()
    settle(explorer)
    agree(shown(explorer), bars(TALES, text + told, temperature=1.0))
    assert message(explorer).inner_text() == ""


LATE = """async ({ order, attentionTokens }) => {
  const el = document.createElement("div"), asked = [];
  document.body.append(el);
  const letter = (text) => Array.from(text, (c) => c.charCodeAt(0));
  const tok = { eot: null, first: letter,
    pieces: (ids) => ids.map((id) => String.fromCharCode(id)) };
  const cfg = { n_layer: 1, n_head: 1, n_ctx: 8, vocab_size: 256 };
  const attention = (ids) => new Promise((resolve, reject) => {
    const T = ids.length, weights = new Float32Array(T * T).fill(1 / T);
    asked.push({ answer: () => resolve([weights]),
      fail: () => reject(new Error("it broke")) });
  });
  const model = new minigpt.State({ text: "a", layer: 0, head: 0, query: null });
  const engine = { tok, cfg, attention, attentionTokens };
  minigpt.attentionExplorer({ model, el, engine });
  for (const text of ["ab", "abc"]) model.set("text", text);
  const seen = [];
  for (const [place, what] of order) {
    asked[place][what]();
    await new Promise((go) => setTimeout(go));
    const chips = [...el.querySelectorAll(".mgw-piece")];
    seen.push([chips.map((chip) => chip.textContent).join(""),
      el.querySelector(".mgw-looks").getAttribute("aria-busy"),
      el.querySelector(".mgw-message").textContent]);
  }
  el.remove();
  return seen;
}"""


def ask(page, *order, **settings):
    """What an attention explorer shows whose engine answers in this order."""
    return page.evaluate(LATE, {"order": order} | settings)


def test_late_answers_of_earlier_questions_are_dropped(page, server):
    """Of an engine, too, that cannot be called off."""
    opened(page, address(server))
    late = ask(page, [1, "answer"], [2, "answer"], [0, "answer"])
    assert late == [["", "true", ""], ["abc", "false", ""], ["abc", "false", ""]]
    late = ask(page, [2, "fail"], [1, "fail"], [0, "answer"])
    assert late == [["", "false", "it broke"]] * 3


def test_as_many_tokens_as_can_be_drawn(page, server):
    """All heads of a large model are very many numbers."""
    opened(page, address(server))
    [[text, _, words]] = ask(page, [2, "answer"], attentionTokens=2)
    assert text == "bc"
    assert words == (
        "2 tokens are shown at most: the last 2 are shown, 1 before them are left out."
    )
    most = """(shapes) => shapes.map(([n_layer, n_head, n_ctx]) => {
      const tokenizer = { kind: "characters", tokens: ["a"] };
      const config = { n_layer, n_head, n_ctx, vocab_size: 1 };
      return new minigpt.RemoteEngine({ config, tokenizer }).attentionTokens; })"""
    shapes = [[2, 8, 96], [12, 12, 1024], [48, 25, 1024]]
    assert page.evaluate(most, shapes) == [96, 64, 22]


def test_a_tokenizer_that_does_not_fit(page):
    params, cfg, _ = letters()
    with start((params, cfg, mg.CharTokenizer("abc"))) as server:
        page.goto(address(server))
        words = f"knows 3 tokens and the model writes {cfg.vocab_size}: they do not"
        page.locator("#status").filter(has_text=words).wait_for()


def test_an_exported_model_shows_no_attention(page):
    params, cfg, tok = letters()

    def exported(ids, cfg, **settings):
        return mg.gpt(params, ids, cfg, **settings)

    with start((exported, cfg, tok)) as server:
        page.goto(address(server))
        said(page.locator("[data-place=looks]"), "shows no attention")
        page.locator(".mgw-bars[aria-busy=false] li").first.wait_for()
        status = page.locator("#status").inner_text()
        assert status.startswith("1 layer of 2 attention heads, 16 channels wide.")
