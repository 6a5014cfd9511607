"""Turn every chapter's Markdown into an executed notebook beside it.

    python book/tools/notebooks.py            chapters whose text or package changed
    python book/tools/notebooks.py 03         one chapter, by number or name
    python book/tools/notebooks.py --force    all, and forget every stored output

"Nothing changed" gives the same bytes: ids come from the cells, timings are not
recorded, and a cell tagged ``nbval-ignore-output`` keeps its stored output while its
source stays the same (``--force`` refreshes it, one chapter after the other, as some
take the time). What an execution was made from is noted in ``book/_build/notebooks/``;
without that note a chapter is executed.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BOOK = Path(__file__).resolve().parents[1]
ROOT = BOOK.parent
NOTES = BOOK / "_build" / "notebooks"
THREADS = ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
NOT_COMPARED = "nbval-ignore-output"
KEPT_METADATA = ("kernelspec",)
WIDGET = "application/vnd.jupyter.widget-view+json"
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}


def pin_threads() -> None:
    """Give BLAS one thread, here and in every kernel that is started from here."""
    for library in THREADS:
        os.environ[f"{library}_NUM_THREADS"] = "1"


def chapters(names: list[str]) -> list[Path]:
    """Return the Markdown sources of the notebooks, all or those that `names` pick."""
    found = [
        path
        for path in sorted(BOOK.glob("*.md"))
        if "{code-cell}" in path.read_text("utf8")
    ]
    if not names:
        return found
    picked = [p for p in found if any(name_fits(p.stem, name) for name in names)]
    if not picked:
        have = ", ".join(path.stem for path in found) or "none"
        raise SystemExit(f"no chapter fits {' '.join(names)!r}; there are: {have}")
    return picked


def name_fits(stem: str, name: str) -> bool:
    """Return whether `name` is "3", "03", "attention" or "03-attention"."""
    name = Path(name).stem
    number, _, title = stem.partition("-")
    return name in (stem, title, number, number.lstrip("0"))


def read_source(path: Path):
    """Return the notebook that a Markdown chapter describes, with ids by content."""
    import jupytext

    notebook = jupytext.read(path, fmt="md:myst")
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        text = f"{cell.cell_type}\n{cell.source}"
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
    tidy_metadata(notebook)
    return notebook


def tidy_metadata(notebook) -> None:
    """Keep what belongs to the chapter, drop what belongs to one machine."""
    kept = {k: notebook.metadata[k] for k in KEPT_METADATA if k in notebook.metadata}
    notebook.metadata.clear()
    notebook.metadata.update(kept, language_info=LANGUAGE)


def made_from(notebook, target: Path) -> str:
    """Return a hash of all that the stored outputs of `target` depend on."""
    code = [[c.cell_type, c.source, c.metadata.get("tags")] for c in notebook.cells]
    packages = sorted(
        f"{d.name}=={d.version}" for d in importlib.metadata.distributions()
    )
    data = os.environ.get("MINIGPT_DATA", "")
    given = [code, packages, data, platform.python_version()]
    digest = hashlib.sha256(json.dumps(given).encode())
    files = [p for p in (ROOT / "minigpt").rglob("*") if "__pycache__" not in p.parts]
    files.append(ROOT / "benchmarks" / "results.json")  # which a chapter quotes
    for path in (*sorted(files), Path(__file__), target):
        if path.is_file():
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()


def execute(notebook, name: str) -> None:
    """Run all cells in a fresh kernel, in the folder of the book."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    client = NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(BOOK)}},
        extra_arguments=["--InteractiveShell.xmode=Minimal"],
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise SystemExit(f"{name}: a cell failed\n\n{error}") from None
    leave_widgets_out(notebook)
    tidy_metadata(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def leave_widgets_out(notebook) -> None:
    """Drop views of widgets that have gone with their kernel; their pictures stay."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", {}):
                output["data"].pop(WIDGET, None)


def keep_old_outputs(notebook, target: Path) -> None:
    """Give cells that are not compared the output that is stored already."""
    import nbformat

    if not target.exists():
        return
    stored = {cell.get("id"): cell for cell in nbformat.read(target, 4).cells}
    for cell in notebook.cells:
        old = stored.get(cell.id)
        tagged = NOT_COMPARED in cell.metadata.get("tags", ())
        if tagged and old and old.source == cell.source and old.get("execution_count"):
            cell.outputs = old.outputs


def problems(notebook) -> list[str]:
    """Return a sentence for each stored output that no other machine would give."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        text = json.dumps(cell.outputs)
        where = f"the cell that starts {cell.source.splitlines()[0]!r}"
        for path in machine_paths(text):
            found.append(f"{where} prints a path of this machine, {path}")
        if re.search(r" at 0x[0-9a-f]{6,}", text):
            found.append(f"{where} prints an object's address, which changes every run")
        tags = cell.metadata.get("tags", ())
        if '"stderr"' in text and NOT_COMPARED not in tags:
            found.append(
                f"{where} writes to stderr (a warning, a progress bar?): avoid it, or "
                f"tag the cell {NOT_COMPARED}"
            )
    return found


def machine_paths(text: str) -> list[str]:
    """Return the paths in `text` that name a folder of one machine."""
    homes = {str(ROOT), str(Path.home()), sys.prefix}
    known = [
        home
        for home in homes
        if len(home) > 1 and re.search(re.escape(home) + r"(?![\w.-])", text)
    ]
    general = r"(?:/home/|/Users/|/root/|/tmp/|[A-Z]:\\\\+Users\\\\+)[\w.-]+"
    return sorted({*known, *re.findall(general, text)})


def store(notebook, target: Path) -> bool:
    """Write the notebook beside `target` and rename it; return whether it differs."""
    import nbformat

    text = nbformat.writes(notebook, 4)
    text = text if text.endswith("\n") else text + "\n"
    if target.exists() and target.read_text("utf8") == text:
        return False
    beside = target.with_name(f".{target.name}.part")
    beside.write_text(text, "utf8")
    os.replace(beside, target)
    return True


def update(path: Path, force: bool) -> str:
    """Bring one chapter's notebook up to date; return what happened, in a word."""
    notebook, target = read_source(path), path.with_suffix(".ipynb")
    note = NOTES / f"{path.stem}.made-from"
    fresh = target.exists() and note.exists()
    if fresh and not force and note.read_text() == made_from(notebook, target):
        return "nothing changed"
    execute(notebook, path.name)
    if not force:
        keep_old_outputs(notebook, target)
    if found := problems(notebook):
        raise SystemExit("\n".join(f"{path.name}: {sentence}" for sentence in found))
    changed = store(notebook, target)
    NOTES.mkdir(parents=True, exist_ok=True)
    note.write_text(made_from(notebook, target))
    return "executed, outputs stored" if changed else "executed, same outputs"


def timed(path: Path, force: bool) -> str:
    """Return what happened to a chapter, and how long it took."""
    start = time.perf_counter()
    return f"{update(path, force)}, {time.perf_counter() - start:.1f} s"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chapter", nargs="*", help="a number or a name; default: all")
    parser.add_argument("--force", action="store_true", help="refresh every output")
    options = parser.parse_args()
    pin_threads()
    began = time.perf_counter()
    at_once = 1 if options.force else min(os.cpu_count() or 1, 4)
    with ThreadPoolExecutor(at_once) as pool:
        paths = chapters(options.chapter)
        outcomes = [pool.submit(timed, path, options.force) for path in paths]
        try:
            for path, outcome in zip(paths, outcomes, strict=True):
                print(f"{path.name:32}", end="", flush=True)
                print(outcome.result())
        finally:
            pool.shutdown(cancel_futures=True)  # those that wait, after a failure
    print(f"notebooks are up to date ({time.perf_counter() - began:.1f} s)")


if __name__ == "__main__":
    main()
