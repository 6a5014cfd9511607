"""The examples that `minigpt finetune` reads, and what it says of the result."""

import json
from dataclasses import dataclass

from minigpt.cli import files, terminal

ASKED = 100  # held-out questions that are answered
SHOWN = 3  # answers that are printed


@dataclass(frozen=True)
class Row:
    """One example of a file: a text, what is learned of it, and where it stands."""

    text: str
    wanted: str
    place: str


def read_labelled(file):
    """A `Row` for every line "label TAB text" that differs from all before.

    Raises ``ValueError`` for a line without a label or a TAB, naming it.
    """
    rows = {}
    lines = files.read(file, ".tsv").split("\n")
    for number, line in enumerate(lines, start=1):
        label, tab, text = line.partition("\t")
        if not line.strip():
            continue
        if not (label.strip() and tab):
            raise ValueError(
                f"{file}, line {number}: {line[:40]!r} is not a label, a TAB and a text"
            )
        rows.setdefault(line, Row(text, label.strip(), f"{file}, line {number}"))
    count = sum(bool(line.strip()) for line in lines)
    if copies := count - len(rows):
        print(f"{copies:,} of {count:,} lines are copies of others, and count once")
    return list(rows.values())


def read_questions(file):
    """A `Row` for every object in a JSON list: "instruction", "input" (which may be
    absent) and "output", the first two as a prompt.

    Raises ``ValueError`` for anything else, naming it.
    """
    from minigpt.finetune import prompt

    text = files.read(file, ".json")
    try:
        examples = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not isinstance(examples, list):
        raise ValueError(f"{file} must hold a list of examples, [{{…}}, {{…}}]")
    rows = []
    for number, example in enumerate(examples, start=1):
        place, whole = f"{file}, example {number}", isinstance(example, dict)
        for name in ("instruction", "input", "output"):
            value = (
                example.get(name, "" if name == "input" else None) if whole else None
            )
            if not isinstance(value, str):
                raise ValueError(f'{place} has no text under "{name}"')
        text = prompt(example["instruction"], example.get("input", ""))
        rows.append(Row(text, example["output"], place))
    return rows


def map_rows(function, rows):
    """``function(row)`` of every row; an error says which row it was about."""
    results = []
    for row in rows:
        try:
            results.append(function(row))
        except ValueError as error:
            raise ValueError(f"{row.place}: {error}") from None
    return results


def shuffled_split(pairs, share, seed):
    """``(to learn from, held out)`` of some examples, in an order drawn by ``seed``.

    Raises ``ValueError`` where one of the two would be empty.
    """
    import numpy as np

    from minigpt import data

    pairs = [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))]
    learned, held_out = data.split(pairs, share) if share and pairs else (pairs, [])
    if not learned:
        raise ValueError(f"{len(pairs)} examples leave none to learn from")
    return learned, held_out


def report_labels(guessed, held_out, names):
    """Print how often the likeliest label of (N, K) was right, and where not."""
    import numpy as np

    from minigpt import finetune

    truth = finetune.labels_of(held_out)
    counts = finetune.confusion(guessed, truth, len(names))
    frequent = int(np.argmax(counts.sum(axis=1)))
    share = finetune.accuracy(np.full(len(truth), frequent), truth)
    print(
        f"accuracy on {len(truth):,} held-out texts: "
        f"{finetune.accuracy(guessed, truth):.1%} (always {names[frequent]!r} would "
        f"have {share:.1%})"
    )
    print(*confusion_table(counts, names), sep="\n")


def confusion_table(counts, names):
    """Lines of a table: how often each label (row) was given each (column)."""
    heads = ["", *(f"said {name}" for name in names)]
    rows = [heads] + [
        [f"is {name}", *(f"{n:,}" for n in row)]
        for name, row in zip(names, counts.tolist(), strict=True)
    ]
    widths = [max(terminal.width(row[i]) for row in rows) for i in range(len(heads))]
    for first, *cells in rows:
        line = first + " " * (widths[0] - terminal.width(first))
        for cell, wide in zip(cells, widths[1:], strict=True):
            line += "  " + " " * (wide - terminal.width(cell)) + cell
        yield line


def report_answers(before, after, cfg, tok, held_out):
    """Print the loss of ``held_out`` pairs of example and `Row` before and after, how
    many answers are the expected text, and some."""
    from minigpt import finetune, train

    examples = [example for example, _ in held_out]
    rows = [row for _, row in held_out][:ASKED]
    losses = [
        train.evaluate(params, cfg, examples, batches=len(examples))
        for params in (before, after)
    ]
    print(
        f"loss on {len(examples):,} held-out answers: {losses[0]:.3f} before, "
        f"{losses[1]:.3f} after, in nats a token"
    )
    longest = max(int(example.counts.sum()) for example in examples)
    answers = finetune.reply(after, cfg, tok, [row.text for row in rows], longest)
    right = sum(a == row.wanted for a, row in zip(answers, rows, strict=True))
    print(f"{right:,} of {len(rows):,} answers are the expected text, letter by letter")
    for row, answer in list(zip(rows, answers, strict=True))[:SHOWN]:
        print(f"  {row.text} {answer}\n    (expected: {row.wanted})")
