"""The book as files: every chapter executed, in step with its text, and readable."""

import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
sys.path.insert(0, str(BOOK / "tools"))
import notebooks  # noqa: E402  the script behind "make notebooks"

CHAPTERS = sorted(BOOK.glob("*.ipynb"))
PAGES = sorted(BOOK.glob("*.md"))
MAX_LINES = 15
by_name = {"ids": lambda path: path.stem}
REMEDY = "run: make notebooks"


def stored(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in stored(path).cells if cell.cell_type == "code"]


def out_of_step(path: Path) -> str:
    """Return what differs between a notebook and its Markdown, or ""."""
    source = path.with_suffix(".md")
    if not source.exists():
        return f"{path.name} has no {source.name}"
    wanted = notebooks.read_source(source).cells
    found = stored(path).cells
    for number, (want, have) in enumerate(zip(wanted, found, strict=False)):
        same = all(
            want.get(key) == have.get(key)
            for key in ("cell_type", "source", "id", "metadata")
        )
        if not same:
            return f"cell {number} of {path.name} is not {source.name}'s; {REMEDY}"
    if len(wanted) != len(found):
        return f"{path.name}: {len(found)} cells, {len(wanted)} in the text; {REMEDY}"
    return ""


def unexecuted(path: Path) -> str:
    """Return which code cell of a notebook was not executed in order, or ""."""
    for number, cell in enumerate(code_cells(path), start=1):
        if cell.execution_count != number:
            return f"{path.name}: code cell {number} was not executed; {REMEDY}"
        last = cell.source.rstrip().splitlines()[-1] if cell.source.strip() else ""
        if last.startswith("print(") and not cell.outputs:
            return f"{path.name}: code cell {number} prints, and has no output"
    return ""


@pytest.mark.parametrize("path", CHAPTERS, **by_name)
def test_notebook_has_the_cells_of_its_text(path):
    assert not out_of_step(path)


@pytest.mark.parametrize("path", CHAPTERS, **by_name)
def test_every_code_cell_was_executed(path):
    assert not unexecuted(path)


@pytest.mark.parametrize("path", CHAPTERS, **by_name)
def test_code_cells_are_short_and_narrow(path):
    for cell in code_cells(path):
        lines = cell.source.splitlines()
        assert len(lines) <= MAX_LINES, f"{len(lines)} lines: {lines[0]}"
        assert max(map(len, lines), default=0) <= 88, f"a long line in {lines[0]!r}"


@pytest.mark.parametrize("path", CHAPTERS, **by_name)
def test_outputs_would_be_the_same_on_another_machine(path):
    assert not notebooks.problems(stored(path))


@pytest.mark.parametrize("path", CHAPTERS, **by_name)
def test_every_figure_says_what_it_shows(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            data = output.get("data", {})
            html = "".join(data.get("text/html", ""))
            assert not silent_figures(html), f"no text for {silent_figures(html)}"
            drawn = {"image/png", "image/svg+xml", "image/jpeg"} & data.keys()
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
            assert not drawn or "<svg" in html or alt, cell.source


def silent_figures(html: str) -> list[str]:
    """Return the ``<svg>`` and ``<img>`` tags in `html` that no text speaks for."""
    html = re.sub(r'(?s)<figure[^>]*aria-label="[^"]{8,}".*?</figure>', "", html)
    silent = []
    for tag in re.findall(r"<(?:svg|img)\b[^>]*>(?:<title>[^<]{8,})?", html):
        hidden = re.search(r'aria-hidden="true"|role="presentation"', tag)
        text = re.search(r'(?:aria-label|alt)="[^"]{8,}"|<title>', tag)
        if not hidden and not text:
            silent.append(tag[:80])
    return silent


@pytest.mark.parametrize("path", PAGES, **by_name)
def test_every_image_in_a_text_has_alt_text(path):
    text = path.read_text("utf8")
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", text):
        assert len(alt) >= 8, f"{target} needs alt text of a few words"
    for block in re.findall(r"[`:]{3,}\{(?:image|figure)\}.*?\n[`:]{3,}", text, re.S):
        assert ":alt:" in block, block
    assert not silent_figures(text)


def toc_entries() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    chapters = [entry for part in toc["parts"] for entry in part["chapters"]]
    return [toc["root"], *(entry["file"] for entry in chapters)]


def test_every_page_is_in_the_table_of_contents():
    listed = {Path(entry).stem for entry in toc_entries()}
    assert {path.stem for path in PAGES} == listed
    for entry in toc_entries():
        assert (BOOK / entry).exists() or (BOOK / f"{entry}.md").exists(), entry


def test_the_table_of_contents_names_notebooks_with_their_suffix():
    executed = {path.name for path in CHAPTERS}
    assert executed == {entry for entry in toc_entries() if entry.endswith(".ipynb")}


def test_configuration_is_one_file_with_two_links():
    for name in ("_config.yml", "_toc.yml"):
        assert (BOOK / name).is_symlink(), f"book/{name} must link to ../{name}"
        assert (BOOK / name).resolve() == ROOT / name


def test_exercise_labels_are_unique_and_each_has_a_solution():
    text = "\n".join(path.read_text("utf8") for path in PAGES)
    exercises = re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", text)
    solutions = re.findall(r"\{solution-start\} (\S+)", text)
    assert len(exercises) == len(set(exercises))
    assert sorted(solutions) == sorted(exercises)


def test_jupytext_reads_the_chapters_as_this_project_does():
    for path in CHAPTERS:
        cells = jupytext.read(path.with_suffix(".md")).cells
        assert [c.source for c in cells] == [c.source for c in stored(path).cells]
