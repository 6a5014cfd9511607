"""axe-core, the field's checker of accessibility, finds nothing serious on any page,
its widgets alive and everything unfolded."""

import pytest
from widget_pages import ALL_ALIVE

base = pytest.importorskip(
    "axe_playwright_python.base",
    reason="axe-core is missing: pip install axe-playwright-python",
)
# Of the spans of a page's code that look alike one is kept: colours are judged once.
UNFOLDED = """async () => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  const seen = new Set();
  for (const span of document.querySelectorAll("pre span[class]")) {
    const around = span.closest(".cell_input, .output, .admonition, details");
    const look = `${span.className} in ${around?.className}`;
    if (seen.has(look)) span.replaceWith(...span.childNodes);
    seen.add(look);
  }
  await document.fonts.load("1em 'STIX Two Math'");
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const passing = document.getAnimations()
    .filter(({ timeline }) => timeline === document.timeline);
  await Promise.allSettled(passing.map(({ finished }) => finished));
}"""
# axe-core fetches style sheets for one rule alone, which it leaves out unless asked.
CHECK = """async (rules) => {
  const settings = { resultTypes: ["violations"], preload: false, ...rules };
  const { violations } = await axe.run(settings);
  return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
    .flatMap(({ id, nodes }) => nodes.map((node) => [id, node.html.slice(0, 120),
      ...[...node.any, ...node.all, ...node.none].map(({ message }) => message)]));
}"""
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
CASES = {  # the other rules do not look at colours
    (1280, "light"): {},
    (1280, "dark"): COLOURS,
    (360, "dark"): {"rules": {"color-contrast": {"enabled": False}}},
}


def unfolded(page, address):
    """Open a page, wait for its widgets, and unfold all there is."""
    page.goto(address)
    page.wait_for_function(ALL_ALIVE)
    page.evaluate(UNFOLDED)
    page.evaluate(base.AXE_SCRIPT)


def check(watched, address, names, width, scheme):
    page = watched(width, scheme, reduced_motion="reduce")
    found = {}
    for name in names:
        unfolded(page, address["http"] + name)
        found[name] = page.evaluate(CHECK, CASES[width, scheme])
    assert not {name: bad for name, bad in found.items() if bad}


def test_nothing_serious_on_the_first_page(watched, address):
    for width, scheme in CASES:
        check(watched, address, ["index.html", "search.html"], width, scheme)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), CASES)
def test_nothing_serious_on_any_page(watched, site, address, width, scheme):
    names = sorted(path.name for path in site.glob("*.html"))
    check(watched, address, names, width, scheme)


MISTAKES = {
    "color-contrast": "<p style='color: #aaa; background: #fff'>pale</p>",
    "image-alt": "<img src='data:,'>",
    "label": "<input type='text'>",
    "button-name": "<button></button>",
    "scrollable-region-focusable": "<pre style='width: 9em; overflow: auto'>wide wide "
    "wide wide wide wide wide wide wide wide</pre>",
}


def test_mistakes_are_found(watched, address):
    page = watched(1280, "light", reduced_motion="reduce")
    unfolded(page, address["http"] + "genindex.html")
    for html in MISTAKES.values():
        page.evaluate(
            "html => document.querySelector('article, main')"
            ".insertAdjacentHTML('beforeend', html)",
            html,
        )
    found = {rule for rule, *_ in page.evaluate(CHECK, {})}
    assert found == MISTAKES.keys()
