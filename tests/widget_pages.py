"""Which page of the book has which widgets, and how a test opens one in Chromium."""

PAGES = {
    "index.html": ["SamplingExplorer"],
    "01-tokenizer.html": ["TokenizerExplorer"],
    "03-attention.html": ["AttentionExplorer"],
    "04-causal-mask.html": ["AttentionExplorer"],
    "05-multi-head.html": ["AttentionExplorer"],
    "06-blocks.html": ["ShapeWalk"],
    "07-generation.html": ["SamplingExplorer"],
    "08-training-loss.html": ["TrainingScrubber"],
    "10-training.html": ["TrainingScrubber", "TrainingScrubber"],
}
MODEL = ["AttentionExplorer", "SamplingExplorer", "ShapeWalk"]  # these ask a model
WIDGETS = [(page, widget) for page, names in PAGES.items() for widget in names]


ALL_ALIVE = "!document.querySelector('.minigpt-widget:not([data-alive])')"


def opened(watched, address, name, widget, transport="file", **options):
    """A page whose widget is alive, and that widget."""
    page = watched(**options)
    page.goto(address[transport] + name)
    found = page.locator(f'.minigpt-widget[data-alive][data-widget="{widget}"]')
    found.first.wait_for()
    return page, found.first


THEME = "scheme => document.documentElement.dataset.theme === scheme"
AT_REST = """() => !document.getAnimations().some((one) =>
  one instanceof CSSTransition && one.playState === "running")"""


def take(page, scheme):
    """The system's scheme changes, and the page goes with it."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(THEME, arg=scheme)


def both_schemes(page):
    """A page in light, then in dark, when its colours have come."""
    for scheme in ("light", "dark"):
        take(page, scheme)
        page.wait_for_function(AT_REST)
        yield scheme


CONTRAST = """root => {
  const canvas = document.createElement("canvas").getContext("2d",
    { willReadFrequently: true });
  const rgb = (...colours) => {
    for (const colour of colours) {
      canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045
    ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b; };
  const found = [];
  for (const e of root.querySelectorAll("*")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const behind = [];
    for (let up = e; up; up = up.parentElement)
      behind.unshift(getComputedStyle(up).backgroundColor);
    const [a, b] = [light(rgb("white", ...behind)),
      light(rgb("white", ...behind, getComputedStyle(e).color))];
    found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.textContent]);
  }
  return found;
}"""
BOXES = """root => [root, ...root.querySelectorAll("button, input, select, textarea")]
  .map((part) => part.getBoundingClientRect())
  .map(({ left, right, width, height }) => [left, right, width, height])"""


def check_fit(widget):
    """All that is moved, pressed and typed in lies within the widget."""
    (start, end, *_), *parts = widget.evaluate(BOXES)
    assert parts
    for left, right, width, height in parts:
        assert start <= left and right <= end and width >= 24 and height >= 24


def check_contrast(widget):
    """Text stands out from what is behind it, as WCAG 2 (level AA) asks."""
    found = widget.evaluate(CONTRAST)
    assert len(found) > 10 and min(found)[0] >= 4.5, min(found)


def check_targets(widget):
    """Under a finger: open the page with ``has_touch=True, is_mobile=True``."""
    _, *parts = widget.evaluate(BOXES)
    assert parts and min(height for *_, height in parts) >= 44
