"""Figures on paper: tables as text and as Markdown, and the file that keeps them all.

A table is ``{"title", "heads", "rows", "notes"}`` of strings; ``results.json`` has for
each part what was measured, when, where and by which command.
"""

import json
from pathlib import Path

from minigpt.checkpoint import write

DOCUMENT = """# Results

What the programs of this folder measured. {how} Seconds depend on the machine and on
who else uses it: look at the ratios, which come from rounds in which all contenders
take turns. Made by `{command}`; the same figures as numbers are in `results.json`.
"""


def table(title, heads, rows, *notes):
    """A table of strings; None, or a number that is none, becomes a dash."""
    rows = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    return {"title": title, "heads": list(heads), "rows": rows, "notes": list(notes)}


def missing(name, why, columns):
    """The row of somebody who does not take part: the reason stands in its name."""
    return (f"{name} (missing: {why})", *[None] * (columns - 1))


def plain(table):
    """A table for a terminal."""
    lines = [table["heads"], *table["rows"]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table["heads"]))]
    text = [table["title"], ""]
    for line in lines:
        first = line[0].ljust(widths[0])
        cells = zip(line[1:], widths[1:], strict=True)
        text.append("  ".join([first, *(cell.rjust(wide) for cell, wide in cells)]))
    return "\n".join([*text, *(f"  {note}" for note in table["notes"]), ""])


def markdown(table):
    """A table for a page."""
    edge = "|---" + "|---:" * (len(table["heads"]) - 1) + "|"
    lines = [f"### {table['title']}", "", _row(table["heads"]), edge]
    lines += [_row(row) for row in table["rows"]]
    for note in table["notes"]:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def _row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def targets(rows):
    """The table of what is to be reached: ``(what, value, bound, is it, unit)`` with a
    bound as "<= 1" and a value that is a number, or None where it was not measured."""
    told = []
    for what, value, bound in rows:
        kind, limit = bound.split()
        if value is None:
            told.append((what, None, spelt(bound), "not measured"))
            continue
        reached = value <= float(limit) if kind == "<=" else value >= float(limit)
        told.append((what, number(value), spelt(bound), "yes" if reached else "**no**"))
    return table("To reach", ("what", "here", "target", "reached"), told)


def spelt(bound):
    return bound.replace("<=", "at most").replace(">=", "at least")


def number(value, digits=3):
    """A number with about three digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def megabytes(value):
    return None if value is None else f"{value / 1e6:,.1f}"


def spread(times, unit=1e3):
    """The median of some times, and from where to where they go, in milliseconds."""
    three = (times[name] * unit for name in ("median", "least", "greatest"))
    return "{} ({} to {})".format(*(number(value) for value in three))


# ---------------------------------------------------------------- the file


def read(path):
    """The parts that a file of results holds; none where there is no file."""
    try:
        found = json.loads(Path(path).read_text("utf8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}): remove it") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no parts of a benchmark: remove it")
    return found


def merge(path, parts):
    """Put some parts into the file, in place of their older figures; returns all."""
    both = read(path) | parts
    write(path, (json.dumps(both, indent=1, ensure_ascii=False) + "\n").encode())
    return both


def document(parts, modules, command, reasons=""):
    """The Markdown page of all parts that were measured, in the order of ``modules``,
    a dict of ``tables(found)`` and ``reached(found)`` by name. ``reasons`` is what
    somebody has to say of the targets, beside their table."""
    have = {name: parts[name] for name in modules if name in parts}
    quick = [name for name, part in have.items() if part["quick"]]
    how = f"A quick try of {', '.join(quick)}: no figures to quote." if quick else ""
    reached = [
        row
        for name, part in have.items()
        if not part["quick"]  # small sizes reach nothing
        for row in modules[name].reached(part["found"])
    ]
    pages = [DOCUMENT.format(how=how, command=command), markdown(targets(reached))]
    pages += [reasons] if reasons else []
    for name, part in have.items():
        pages += [f"## {part['title']}\n", f"{facts(part)}\n"]
        pages += [markdown(t) for t in modules[name].tables(part["found"])]
    absent = [name for name in modules if name not in parts]
    if absent:
        pages.append(f"Not measured yet: {', '.join(absent)}.\n")
    return "\n".join(pages)


def facts(part):
    """Where, when and how a part was measured, in a line or two."""
    here = ", ".join(f"{name} {value}" for name, value in part["machine"].items())
    rounds = f"{part['rounds']} rounds" if part.get("rounds") else "one run"
    return f"`{part['command']}`, {rounds}, {part['seconds']:.0f} s. {here}."
