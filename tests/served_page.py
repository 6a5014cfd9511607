"""The page of a server, opened in Chromium: models for it, what tests do and read."""

import functools

import numpy as np

import minigpt as mg
from minigpt.gpt2_files import byte_alphabet
from minigpt.streaming import first_ids

PLACES = ("next", "looks", "tokens")


def address(server):
    """Where a server's page is, by the name that the tests' browser may ask."""
    return server.url.replace("127.0.0.1", "localhost") + "/"


def opened(page, url):
    """The page at an address, its explorers alive and answered; `{place: explorer}`."""
    page.goto(url)
    return answered(page)


def answered(page):
    """The explorers of a page, once they show what the model says."""
    found = {name: page.locator(f"[data-place={name}][data-alive]") for name in PLACES}
    for place in found.values():
        place.wait_for()
    found["next"].locator(".mgw-bars[aria-busy=false] li").first.wait_for()
    found["looks"].locator(".mgw-looks[aria-busy=false]").wait_for()
    return found


@functools.cache
def wide():
    """A small random model with as many tokens as GPT-2, whose bytes are numbered as
    GPT-2's are, and with more heads than stand in two lines."""
    order = byte_alphabet()
    pairs = [(bytes([a]), bytes([b])) for a in order for b in order][: 50_257 - 257]
    tok = mg.BPETokenizer(pairs, ["<|endoftext|>"], order)
    cfg = mg.Config(tok.vocab_size, n_ctx=48, n_embd=24, n_layer=2, n_head=12)
    rng = np.random.default_rng(7)
    noise = {"wte": 0.5, "wpe": 0.5}

    def shake(name, leaf):
        size = noise.get(name.split(".")[0], 0.3)
        return leaf + rng.normal(0, size, leaf.shape).astype(leaf.dtype)

    flat = mg.tree.flatten(mg.init(cfg))
    return mg.tree.unflatten({n: shake(n, a) for n, a in flat.items()}), cfg, tok


def letters():
    """A small random model of characters."""
    tok = mg.CharTokenizer("When the cat sat on the mat, John saw it.")
    cfg = mg.Config(tok.vocab_size, n_ctx=32, n_embd=16, n_layer=1, n_head=2)
    return mg.init(cfg, seed=3), cfg, tok


def logits(model, text, new=()):
    """(V,): NumPy's, after a text and the ids that follow it."""
    params, cfg, tok = model
    ids = np.array([[*first_ids(tok, text), *new]])[:, -cfg.n_ctx :]
    return mg.gpt(params, ids, cfg, last=True)[0, -1]


def weights(model, text, most):
    """(layers, heads, T, T): NumPy's, of the last tokens of a text."""
    params, cfg, tok = model
    ids, seen = np.array([first_ids(tok, text)])[:, -most:], {}
    mg.gpt(params, ids, cfg, tap=seen)
    return np.stack([seen[f"h.{i}.attn.weights"][0] for i in range(cfg.n_layer)])


def continued(model, text, count, **settings):
    """What NumPy writes after a text."""
    params, cfg, tok = model
    ids = np.array(first_ids(tok, text))
    stop = () if tok.eot is None else tok.eot
    out = mg.generate(params, ids, cfg, count, stop=stop, **settings)
    return tok.decode([i for i in out[len(ids) :].tolist() if i != tok.eot])


def text_of(explorer):
    return explorer.get_by_role("textbox", name="Your text").input_value()


def message(explorer):
    return explorer.locator(".mgw-message")


def settle(explorer):
    """Wait until the bars are those of the text."""
    explorer.locator(".mgw-bars[aria-busy=false] li").first.wait_for()


class Line:
    """The line between a page and its server: counts what is asked for, and may hold
    answers back or give others."""

    def __init__(self, page):
        self.asked, self.held, self.answers, self.holds = [], [], [], False
        page.route("**/api/*", self.take)

    def take(self, route):
        path = route.request.url.split("/api/")[1]
        self.asked.append(path)
        if self.answers:
            return route.fulfill(**self.answers.pop(0))
        if self.holds:
            return self.held.append(route)
        return route.continue_()

    def free(self):
        """Let go what is held; what the page has called off is gone."""
        self.holds = False
        for route in self.held:
            if route.request.failure is None:
                route.continue_()
        self.held.clear()
