"""The page of a server, in Chromium: its explorers show what NumPy computes, for a
small model and for one with as many tokens and heads to a layer as GPT-2."""

import numpy as np
import pytest
from attention_page import expected, labels
from engine.runners import too_wide
from explorer_page import finished, move, press, shown, write
from served_page import (
    PLACES,
    Line,
    address,
    continued,
    letters,
    logits,
    message,
    opened,
    settle,
    text_of,
    weights,
    wide,
)
from server_runs import start
from test_accessibility import CASES, CHECK, base
from widget_pages import both_schemes, check_contrast, check_fit, check_targets

import minigpt as mg
from minigpt.plots import piece
from minigpt.sampling import distribution
from minigpt.server import page as server_page
from minigpt.streaming import first_ids

MODELS = {"tales": lambda: mg.load("tales"), "wide": wide}


@pytest.fixture(scope="module")
def urls():
    """Where the page of each model is."""
    with start("tales") as tales, start(wide()) as other:
        yield {"tales": address(tales), "wide": address(other)}


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


def bars(model, text, rows=8, **settings):
    """What the bars show, by NumPy: each token with its share, or what cut it."""
    found = logits(model, text)
    p = distribution(found[None], **settings)[0]
    order = np.argsort(-found, kind="stable")[:rows]
    cut = "cut: top-k" if settings.get("top_k") else "cut: top-p"
    shares = [f"{p[i]:.3f}" if p[i] > 0 else cut for i in order]
    tokens = [piece(model[2].pieces([int(i)])[0]) for i in order]
    others = f"{len(p) - rows:,} others", f"{1 - p[order].sum():.3f}"
    return [*zip(tokens, shares, strict=True), others]


def agree(found, wanted):
    """The same rows; of two ways to add up a float32, the last digit may differ."""
    assert [token for token, _ in found[:-1]] == [token for token, _ in wanted[:-1]]
    for (_, one), (token, other) in zip(found, wanted, strict=True):
        if "cut" in one + other:
            assert one == other or token.endswith("others")
        else:
            assert abs(float(one) - float(other)) < 0.0015


def test_bars_are_numpys(watched, urls, name):
    model = MODELS[name]()
    explorer = opened(watched(), urls[name])["next"]
    text = text_of(explorer)
    agree(shown(explorer), bars(model, text, temperature=1.0))
    move(explorer, temperature=0.5)
    agree(shown(explorer), bars(model, text, temperature=0.5))
    move(explorer, top_k=3)
    agree(shown(explorer), bars(model, text, temperature=0.5, top_k=3))
    move(explorer, top_k=50 + 1, top_p=0.3, temperature=2)
    agree(shown(explorer), bars(model, text, temperature=2.0, top_p=0.3))
    write(explorer, f"{text} and")
    agree(shown(explorer), bars(model, f"{text} and", temperature=2.0, top_p=0.3))


def test_a_seed_writes_what_python_writes(watched, urls, name):
    model = MODELS[name]()
    explorer = opened(watched(reduced_motion="reduce"), urls[name])["next"]
    text = text_of(explorer)
    for seed in (0, 1):
        press(explorer, "Write" if seed == 0 else "Write another")
        wanted = continued(model, text, 80, seed=seed, temperature=1.0)
        assert finished(explorer) == wanted and len(wanted) > 40


def test_weights_are_numpys(watched, urls, name):
    model = MODELS[name]()
    explorer = opened(watched(), urls[name])["looks"]
    text = text_of(explorer)
    heads = [(0, 1, -1), (1, 7, 5)]
    for layer, head, query in heads if name == "tales" else [*heads, (1, 11, -1)]:
        named = f"layer {layer}, head {head}"
        explorer.get_by_role("button", name=named, exact=True).click()
        explorer.locator(".mgw-looker").nth(query).click()
        explorer.get_by_role("textbox").hover()  # off the tokens: one would preview
        row = weights(model, text, 48 if name == "wide" else 96)[layer, head, query]
        gets = [float(label.rsplit("gets ")[1]) for label in labels(explorer)[:5]]
        np.testing.assert_allclose(gets, row[:5], rtol=0, atol=0.0051)
        if name == "tales":
            assert labels(explorer) == expected(text, layer, head, query)


def test_what_is_known_is_not_asked_again(watched, urls):
    page = watched(reduced_motion="reduce")
    line = Line(page)
    explorer = opened(page, urls["tales"])["next"]
    press(explorer, "Write")
    first = finished(explorer)
    press(explorer, "One token")  # after an end, from the beginning
    asked = len(line.asked)
    press(explorer, "Reset")
    for temperature in (0.3, 2, 1):
        move(explorer, temperature=temperature, top_k=5)
    move(explorer, top_k=51)
    press(explorer, "Write")
    assert finished(explorer) == first
    assert len(line.asked) == asked and line.asked.count("logits") > 10


def test_quick_clicks_are_as_many_tokens(watched, urls):
    page = watched()
    explorer = opened(page, urls["wide"])["next"]
    one = explorer.get_by_role("button", name="One token")
    one.evaluate("button => { for (let i = 0; i < 7; i++) button.click(); }")
    wanted = continued(wide(), text_of(explorer), 7, seed=0)
    written = explorer.locator(".mgw-story b").filter(has_text=wanted)
    written.wait_for()
    settle(explorer)
    assert written.inner_text() == wanted


def test_a_token_of_ones_own_choice(watched, urls):
    model = mg.load("tales")
    explorer = opened(watched(), urls["tales"])["next"]
    name = explorer.locator(".mgw-token").nth(2).inner_text()
    explorer.locator(".mgw-bars button").nth(2).click()
    text = text_of(explorer) + name.replace("␣", " ")
    settle(explorer)
    agree(shown(explorer), bars(model, text, temperature=1.0))


def test_the_page_tells_what_it_serves(watched, urls):
    page = watched()
    opened(page, urls["tales"])
    params, cfg, _ = mg.load("tales")
    size = sum(np.size(leaf) for leaf in mg.tree.flatten(params).values())
    said = page.locator("#status").inner_text()
    assert said.startswith(f"{round(size / 1000)} thousand parameters: 2 layers of 8 ")
    assert f"up to {cfg.n_ctx} tokens, from a vocabulary of {cfg.vocab_size}." in said
    assert page.get_by_role("heading", level=1).inner_text() == "tales"
    assert page.locator("footer").inner_text().count(mg.__version__) == 1
    explorer = page.locator("[data-place=tokens]")
    ids = mg.load("tales")[2].encode(text_of(explorer))
    assert explorer.locator(".mgw-ids").inner_text() == str(ids)
    opened(page, urls["wide"])
    grid = page.locator(".mgw-dense")
    assert grid.locator("button").count() == 24
    numbers = grid.locator(".mgw-numbers").inner_text().split()
    assert numbers == [str(n) for n in range(12)]


ADD_A_SCRIPT = """() => new Promise((done) => {
  document.addEventListener("securitypolicyviolation",
    (event) => done(event.effectiveDirective), { once: true });
  const script = document.createElement("script");
  script.textContent = "globalThis.foreign = true";
  document.head.append(script);
})"""


def test_nothing_runs_but_the_servers_own_script(browser, urls):
    """The page works under its policy, which lets nothing else run or be asked."""
    page = browser.new_page()  # one whose complaints nobody notes
    answer = page.goto(urls["tales"])
    assert answer.headers["content-security-policy"] == server_page.POLICY
    assert "unsafe" not in server_page.POLICY
    refused = page.evaluate(ADD_A_SCRIPT)
    assert refused == "script-src-elem" and page.evaluate("globalThis.foreign") is None
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_in_light_and_dark(watched, urls, name, width):
    page = watched(width)
    places = opened(page, urls[name])
    assert not too_wide(page)
    for _ in both_schemes(page):
        for key in ("next", "tokens") if name == "wide" else PLACES:
            check_fit(places[key].locator(".mgw"))
        check_contrast(page.locator("body"))
    if name == "wide":  # many heads scroll in a box of their own
        grid = page.locator(".mgw-dense")
        wider = grid.evaluate("grid => grid.scrollWidth > grid.clientWidth")
        box, around = grid.bounding_box(), places["looks"].bounding_box()
        assert wider == (width == 360) and box["x"] >= around["x"]
        assert box["x"] + box["width"] <= around["x"] + around["width"]


def test_fingers_find_what_they_press(watched, urls, name):
    page = watched(360, has_touch=True, is_mobile=True)
    places = opened(page, urls[name])
    for key in ("next", "looks"):
        check_targets(places[key].locator(".mgw"))


def test_heads_in_a_line_are_chosen_by_keyboard(watched, urls):
    page = watched()
    explorer = opened(page, urls["wide"])["looks"]
    explorer.locator(".mgw-head[aria-pressed=true]").focus()
    for key, name in {
        "ArrowRight": (0, 1),
        "ArrowDown": (1, 1),
        "End": (1, 11),
    }.items():
        page.keyboard.press(key)
        layer, head = name
        title = f"Layer {layer}, head {head}"
        explorer.get_by_text(title, exact=True).wait_for()


def test_a_model_of_characters(watched):
    model = letters()
    with start(model) as server:
        page = watched()
        places = opened(page, address(server))
        explorer = places["next"]
        assert text_of(explorer) and set(text_of(explorer)) <= set(model[2].itos)
        write(explorer, "the cat")
        settle(explorer)
        agree(shown(explorer), bars(model, "the cat", temperature=1.0))
        press(explorer, "One token")
        new = explorer.locator(".mgw-story b").inner_text()
        assert new == continued(model, "the cat", 1, seed=0)
        write(explorer, "the dogs")
        size = len(model[2].itos)
        said = f"The character d is not in the model's vocabulary of {size} characters"
        message(explorer).filter(has_text=said).wait_for()
        assert explorer.locator(".mgw-bars li").count() == 0
        write(places["looks"], "the dogs")
        message(places["looks"]).filter(has_text=said).wait_for()
        write(places["looks"], "the cat")
        places["looks"].locator(".mgw-looker").first.wait_for()
        assert len(labels(places["looks"])) == 7
        assert "no merges to show" in places["tokens"].inner_text()


LOOK_UP = """({ state, texts }) => {
  const tok = minigpt.tokenizerOf(state), tried = (text) => {
    try { return tok.first(text); } catch (error) { return error.message; }
  };
  const ids = [...Array(tok.vocab_size).keys()];
  return [texts.map(tried), tok.pieces(ids), tok.decode(ids), tok.eot];
}"""
WORDS = (
    "Don't stop: the cat’s mat, ‿mat, a_b 12 ½ naïve e\u0301t\u00e9 — “so”\n\tit"
    "\u00a0is… 猫も木から 😀x"
)


@pytest.mark.parametrize("ends", [(), ("<|pad|>", "<|endoftext|>")])
@pytest.mark.parametrize("kind", [mg.CharTokenizer, mg.WordTokenizer])
def test_characters_and_words_have_pythons_ids(watched, urls, kind, ends):
    page = watched()
    opened(page, urls["tales"])
    tok = kind(WORDS, ends)
    state = {"kind": tok.kind} | tok._state() | {"special_tokens": list(ends)}
    ids, texts = list(range(tok.vocab_size)), [WORDS, WORDS[::-1], "the mat", "zebra"]
    wanted = []
    for text in texts:
        try:
            wanted.append(first_ids(tok, text))
        except ValueError:
            wanted.append(None)
    first, *found = page.evaluate(LOOK_UP, {"state": state, "texts": texts})
    assert found == [tok.pieces(ids), tok.decode(ids), tok.eot]
    assert wanted[0] and wanted[2] and wanted[3] is None
    for one, other in zip(first, wanted, strict=True):
        assert one == other if other else "is not in the model's vocabulary" in one


@pytest.mark.parametrize(("width", "scheme"), CASES)
def test_axe_finds_nothing_serious(watched, urls, name, width, scheme):
    page = watched(width, scheme, reduced_motion="reduce")
    opened(page, urls[name])
    page.evaluate(base.AXE_SCRIPT)
    assert page.evaluate(CHECK, CASES[width, scheme]) == []
