"""The book as pages: built without a warning, whole, and asking no other host."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from docutils import nodes

ROOT = Path(__file__).parents[1]
MISTAKES = {
    "{term}`no such term`": "term not in glossary",
    "{ref}`no-such-place`": "undefined label",
    "[there](no-such-page.md)": "no-such-page",
    r"$\nosuch{x}$": "cannot be drawn as MathML",
    ":::{exercise} T\n:label: x\n:::": "an exercise needs :level:, :minutes:",
    ":::{solution-start} y\n:::": "no exercise of this chapter before this line",
    ":::{solution-end}\n:::": "a {solution-end} without a start",
}
LOADED = {"src", "srcset", "data", "poster"}
sys.path.insert(0, str(ROOT / "book" / "tools"))
from mathml import keep_together, to_mathml  # noqa: E402


class Page(HTMLParser):
    """Collects what a page loads, what it links to, and the anchors it has."""

    def __init__(self, path: Path):
        super().__init__()
        self.loads, self.links, self.anchors, self.empty = [], [], set(), []
        self.said = {}  # in the head: what the page is
        self.text = path.read_text("utf8")
        self.feed(self.text)

    def handle_starttag(self, tag, pairs):
        attributes = dict(pairs)
        self.anchors.add(attributes.get("id"))
        self.loads += [attributes[key] for key in LOADED & attributes.keys()]
        if tag == "link" and "href" in attributes:
            self.loads.append(attributes["href"])
        if tag == "meta" and "content" in attributes:
            key = attributes.get("name") or attributes.get("property")
            self.said[key] = attributes["content"]
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "img" and "alt" not in attributes:
            self.empty.append(attributes.get("src"))


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    """Every page of the site, by its file's name."""
    return {path.name: Page(path) for path in site.glob("*.html")}


def is_remote(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_no_page_loads_anything_from_another_host(pages):
    for name, page in pages.items():
        remote = [a for a in page.loads if is_remote(a)]
        assert not remote, f"{name} loads {remote}"
        for body in re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.S):
            assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", body), name


def test_style_sheets_name_no_other_host(site):
    for path in site.rglob("*.css"):
        found = re.findall(
            r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", path.read_text()
        )
        assert not found, path


def test_what_pages_load_is_there(site, pages):
    for name, page in pages.items():
        for address in page.loads:
            path = unquote(urlsplit(address).path)
            if path and not is_remote(address):
                assert (site / path).exists(), f"{name}: {address}"


def test_links_inside_the_book_lead_somewhere(site, pages):
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.netloc or parts.scheme:
                continue
            target = (site / unquote(parts.path)).resolve()
            target = target if parts.path else site / name
            assert target.exists(), f"{name} links to {link}"
            if parts.fragment and target.suffix == ".html":
                anchors = pages[target.name].anchors
                assert unquote(parts.fragment) in anchors, f"{name} links to {link}"


def test_equations_are_drawn_without_a_script(pages):
    text = "".join(page.text for page in pages.values())
    assert "MathJax" not in text
    assert "<math " in text
    assert "$$" not in re.sub(r"<(pre|code)\b.*?</\1>", "", text, flags=re.S)


def test_chapters_can_be_downloaded_as_notebooks(site, pages):
    for path in (ROOT / "book").glob("*.ipynb"):
        page = pages[f"{path.stem}.html"]
        copy = f"_sources/{path.name}"
        assert copy in page.links
        assert (site / copy).read_bytes() == path.read_bytes()


def test_a_head_says_what_its_page_is(pages):
    described = {
        n: page.said for n, page in pages.items() if "description" in page.said
    }
    assert set(pages) - set(described) == {"search.html", "genindex.html"}
    for name, said in described.items():
        assert 40 <= len(said["description"]) <= 200, name
        assert said["description"] == said["og:description"]
        heading = re.search(r"<h1>(.*?)(?:<a|</h1>)", pages[name].text, re.DOTALL)[1]
        assert said["og:title"] == re.sub("<[^>]+>", "", heading), name
    assert len({said["description"] for said in described.values()}) == len(described)
    assert "<title>A GPT you can read</title>" in pages["index.html"].text


def test_every_image_has_alternative_text(pages):
    assert not {name: page.empty for name, page in pages.items() if page.empty}


def test_solutions_are_folded_with_their_cells(pages):
    for path in (ROOT / "book").glob("*.md"):
        started = path.read_text("utf8").count("{solution-start}")
        if started:
            opening = '<details class="solution"><summary>Solution of Exercise '
            folded = pages[f"{path.stem}.html"].text.split(opening)[1:]
            assert len(folded) == started
            for solution in folded:
                assert "cell_input" in solution.partition("</details>")[0]


@pytest.mark.parametrize(
    ("latex", "mathml"),
    [
        (r"\begin{aligned} a &= b \end{aligned}", '<mtd columnalign="right">'),
        (r"\operatorname{softmax}(z)", "<mi>softmax</mi><mo"),
        (r"\mathrm{softmax}(z)", "<mi>softmax</mi><mo"),
        (r"p \log p", '<mi>log</mi><mspace width="0.167em" /><mi>p</mi>'),
        (r"\max_i z", "<munder><mi>max</mi><mi>i</mi></munder>"),
        (r"\boldsymbol{x}\mathbb{1}", "\U0001d499"),
        (r"\mathbb{1}", "\U0001d7d9"),
        (r"x_{<t}", "<mo>&lt;</mo>"),
        (r"-\infty", "<mi>∞</mi>"),
    ],
)
def test_equations_keep_to_what_browsers_draw(latex, mathml):
    assert mathml in to_mathml(latex, "block")


@pytest.mark.parametrize("latex", [r"\nosuch{x}", "a & b", r"\cancel{x}"])
def test_an_equation_that_cannot_be_drawn_is_an_error(latex):
    with pytest.raises(ValueError, match="is not known, or not drawn by browsers"):
        to_mathml(latex, "inline")


def copy_of_the_book(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("_build", "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT / "book", folder / "book", symlinks=True, ignore=ignored)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, folder)
    return folder


def build(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    return subprocess.run(
        [*command, "build", "book", "-W", "-n", "--keep-going"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_one_address_brings_all_the_buttons(tmp_path, pages):
    where = "github.com/example/minigpt"
    for page in pages.values():
        assert "colab.research" not in page.text
        assert "mybinder" not in page.text
    config = copy_of_the_book(tmp_path) / "_config.yml"
    config.write_text(
        config.read_text().replace('  url: ""', f'  url: "https://{where}"')
    )
    result = build(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    links = Page(tmp_path / "book/_build/html/03-attention.html").links
    notebook = "book/03-attention.ipynb"
    assert f"https://{where}" in links
    assert (
        f"https://colab.research.google.com/{where.replace('.com', '', 1)}"
        + (f"/blob/main/{notebook}")
        in links
    )
    assert any("mybinder.org/v2/gh/example/minigpt/main" in link for link in links)


@pytest.mark.slow
def test_mistakes_in_a_page_stop_the_build(tmp_path):
    page = copy_of_the_book(tmp_path) / "book" / "glossary.md"
    text = "\n\n".join([page.read_text("utf8"), "## More", *MISTAKES])
    page.write_text(text, "utf8")
    result = build(tmp_path)
    assert result.returncode != 0
    for complaint in MISTAKES.values():
        assert complaint in result.stdout + result.stderr


@pytest.mark.parametrize(("builder", "left"), [("html", "see "), ("latex", "see (")])
def test_what_an_equation_holds_is_lost_nowhere(builder, left):
    sentence = nodes.paragraph()
    sentence += [nodes.Text("see ("), nodes.math("a", "a"), nodes.Text(").")]
    app = SimpleNamespace(builder=SimpleNamespace(format=builder))
    for _ in range(2):  # a page may be written twice
        keep_together(app, sentence, "")
    before, equation, after = sentence
    held = equation.get("before", ""), "a", equation.get("after", "")
    assert before + "".join(held) + after == "see (a)." and before == left


def test_a_stop_stays_with_the_equation_before_it(pages):
    held, stops = 0, "[.,;:!?)\u2019\u201d]"
    for name, page in pages.items():
        for paragraph in re.findall(r"<p>.*?</p>", page.text, re.S):
            held += paragraph.count('class="together"')
            alone = re.search(rf"</math></span>{stops}+(?!</span>|{stops})", paragraph)
            assert not alone, f"{name}: {paragraph[:200]}"
    assert held > 100
