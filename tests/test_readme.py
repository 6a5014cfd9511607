"""What README, CONTRIBUTING, the first page and the glossary say is so."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf8")
INDEX = (ROOT / "book" / "index.md").read_text("utf8")
GLOSSARY = (ROOT / "book" / "glossary.md").read_text("utf8")
TEXTS = {"README.md": README, "CONTRIBUTING.md": CONTRIBUTING}


def fenced(text: str, language: str) -> list[str]:
    """Return the blocks of code in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def chapters() -> list[Path]:
    """Return the table of contents, the first page included, as Markdown files."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    entries = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [Path("book", entry).with_suffix(".md") for entry in (toc["root"], *entries)]


def test_the_example_prints_what_the_readme_prints():
    (example,), (printed,) = fenced(README, "python"), fenced(README, "text")
    assert len([line for line in example.splitlines() if line]) <= 10
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(example, "README.md", "exec"), {})
    assert " ".join(out.getvalue().split()) == " ".join(printed.split())


def test_the_primitive_in_contributing_works_as_told():
    import numpy as np

    from minigpt import check_grads, ops
    from minigpt.autodiff import Primitive

    (example,) = fenced(CONTRIBUTING, "python")
    names = {"Primitive": Primitive}
    exec(compile(example, "CONTRIBUTING.md", "exec"), names)
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    check_grads(lambda params: ops.sum(names["square"](params["x"])), {"x": x})
    assert names["square"](x).tolist() == (x * x).tolist()


def test_every_module_has_its_line():
    package = ROOT / "minigpt"
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    rows = [row for row in README.splitlines() if row.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`([\w.]+[/y])`", row[:90])]
    named = [name for name in told if name.endswith((".py", "/"))]
    assert sorted(named) == sorted(modules | folders)


def test_the_command_line_is_shown_with_its_commands():
    from minigpt.cli import main

    (section,) = re.findall(r"^## The command line\n(.*?)^## ", README, re.S | re.M)
    shown = set(re.findall(r"minigpt ([a-z]+)", section))
    assert shown == set(main.commands) - {"remove"}  # make clean-model
    assert all(f"`make {name}`" in section for name in ("generate", "clean-model"))
    assert max(map(len, section.splitlines())) <= 95


def test_the_pages_are_listed_once_each():
    linked = re.findall(r"\]\((book/[\w-]+\.md)\)", README)
    assert sorted(linked) == sorted(str(path) for path in chapters())
    for path in chapters()[1:]:
        assert f"]({path.name})" in INDEX, f"{path.name} is missing on the first page"


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_named_exists(name):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf8"), re.M)
    for command in re.findall(r"(?:`|^)make ([a-z-]+)", TEXTS[name], re.M):
        assert command in targets, f"{name} names make {command}"
    for target in re.findall(r"\]\(([^)#]+)\)", TEXTS[name]):
        assert (ROOT / target).exists(), f"{name} links to {target}"
    for path in re.findall(r"`((?:book|minigpt|tests|\.ci)/[\w./-]*)`", TEXTS[name]):
        assert "NN" in path or (ROOT / path).exists(), f"{name} names {path}"


def test_the_picture_of_the_book_is_small_and_described():
    ((alt, target),) = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", README)
    assert len(alt) > 20
    assert (ROOT / target).stat().st_size < 400_000


def entries() -> list[tuple[str, str]]:
    """Return the glossary's terms, synonyms joined, with their definitions."""
    found = []
    for block in re.findall(r"```\{glossary\}\n(.*?)```", GLOSSARY, re.S):
        for entry in block.strip().split("\n\n"):
            lines = entry.splitlines()
            terms = [line for line in lines if not line.startswith(" ")]
            text = " ".join(line.strip() for line in lines[len(terms) :])
            found.append(("|".join(terms), text))
    return found


def test_the_glossary_is_sorted_and_says_something_of_each_term():
    terms = [term.split("|")[0].lower() for term, _ in entries()]
    assert terms == sorted(terms) and len(terms) == len(set(terms)) >= 60
    for term, text in entries():
        assert 60 <= len(text) <= 420 and text.endswith("."), term


def test_the_glossary_has_every_term_that_a_page_asks_for():
    known = {name.lower() for term, _ in entries() for name in term.split("|")}
    for path in chapters():
        text = (ROOT / path).read_text("utf8")
        for asked in re.findall(r"\{term\}`([^`]+)`", text):
            term = re.sub(r".*<(.*)>", r"\1", asked, flags=re.S)
            term = " ".join(term.lower().split())
            assert term in known, f"{path} asks for {term!r}"
