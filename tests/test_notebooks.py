"""The script behind "make notebooks", and what the tests say of a spoiled chapter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from test_book import REMEDY, out_of_step, stored, unexecuted

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"

SOURCE = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
print(6 * 7)
```

```{code-cell} ipython3
:tags: [nbval-ignore-output]
import time
print(time.time_ns())
```
"""


def notebooks_command(folder: Path, *options: str) -> subprocess.CompletedProcess:
    script = folder / "book" / "tools" / "notebooks.py"
    return subprocess.run(
        [sys.executable, script, *options], capture_output=True, text=True, timeout=300
    )


def nbval(folder: Path) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, "book"], cwd=folder, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A project of one chapter, executed, with this project's tools and settings."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(BOOK / "tools", folder / "book" / "tools")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "minigpt").mkdir()
    (folder / "tests").mkdir()
    (folder / "book" / "01-chapter.md").write_text(SOURCE, "utf8")
    result = notebooks_command(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def project(made, tmp_path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "project"))


def chapter(project: Path) -> Path:
    return project / "book" / "01-chapter.ipynb"


@pytest.mark.slow
def test_an_executed_chapter_passes(project):
    result = nbval(project)
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout
    assert not out_of_step(chapter(project))
    assert not unexecuted(chapter(project))


@pytest.mark.slow
def test_a_changed_output_fails(project):
    path = chapter(project)
    path.write_text(path.read_text().replace('"42\\n"', '"43\\n"'))
    result = nbval(project)
    assert result.returncode == 1, result.stdout
    assert "1 failed, 1 passed" in result.stdout


def test_stripped_outputs_fail(project):
    notebook = stored(chapter(project))
    for cell in notebook.cells:
        cell.update(outputs=[], execution_count=None)
    nbformat.write(notebook, chapter(project))
    assert "was not executed" in unexecuted(chapter(project))


def test_an_edited_text_fails(project):
    text = project / "book" / "01-chapter.md"
    text.write_text(SOURCE.replace("A chapter", "A better chapter"), "utf8")
    assert "cell 0" in out_of_step(chapter(project))
    text.write_text(SOURCE + "\nOne more paragraph.\n", "utf8")
    assert REMEDY in out_of_step(chapter(project))


def test_nothing_changed_gives_the_same_bytes(project):
    before = chapter(project).read_bytes()
    assert "nothing changed" in notebooks_command(project).stdout
    shutil.rmtree(project / "book" / "_build")
    result = notebooks_command(project)
    assert "same outputs" in result.stdout, result.stdout + result.stderr
    assert chapter(project).read_bytes() == before
    assert "outputs stored" in notebooks_command(project, "--force").stdout
    assert chapter(project).read_bytes() != before  # the clock was read again


MEETING = """
import time
from pathlib import Path
Path("met-{mine}").touch()
for _ in range(600):
    if Path("met-{other}").exists():
        break
    time.sleep(0.1)
print(Path("met-{other}").exists())
"""


@pytest.mark.skipif(os.cpu_count() == 1, reason="two at once need two processors")
def test_chapters_are_executed_at_once(project):
    """Each waits for the other to begin."""
    for mine, other in ("12", "21"):
        text = SOURCE.replace("print(6 * 7)", MEETING.format(mine=mine, other=other))
        (project / "book" / f"0{mine}-chapter.md").write_text(text, "utf8")
    result = notebooks_command(project)
    assert result.stdout.count("outputs stored") == 2, result.stdout + result.stderr
    for number in "12":
        met = stored(project / "book" / f"0{number}-chapter.ipynb").cells[1]
        assert met.outputs[0].text == "True\n"


def test_a_machine_path_is_refused(project):
    text = project / "book" / "01-chapter.md"
    text.write_text(SOURCE.replace("6 * 7", "__import__('sys').prefix"), "utf8")
    result = notebooks_command(project)
    assert result.returncode != 0
    assert "prints a path of this machine" in result.stderr
    assert out_of_step(chapter(project)), "the notebook must not have been replaced"


def test_a_failing_cell_stops_with_the_chapters_name(project):
    text = project / "book" / "01-chapter.md"
    text.write_text(SOURCE.replace("6 * 7", "1 / 0"), "utf8")
    result = notebooks_command(project)
    assert result.returncode != 0
    assert "01-chapter.md: a cell failed" in result.stderr
    assert "ZeroDivisionError" in result.stderr
