"""Text for a terminal or a pipe."""

import os
import sys
import unicodedata

import click


def write(text):
    """Write a part of a line at once. A terminal is not handed control characters,
    which a model may well write: they are spelt out (``\\x1b``)."""
    sys.stdout.write(spelt(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def spelt(text):
    """``text`` with its control characters spelt out, but for line ends and tabs."""
    return "".join(
        repr(c)[1:-1] if unicodedata.category(c) == "Cc" and c not in "\n\t" else c
        for c in text
    )


def coloured():
    """Whether standard output is a terminal whose user does not object to colours
    (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def shows(characters):
    """Whether standard output can show some characters that are not ASCII."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def width(text):
    """How many columns of a terminal a text takes."""
    wide = {"W": 2, "F": 2}
    return sum(
        0 if unicodedata.combining(c) else wide.get(unicodedata.east_asian_width(c), 1)
        for c in text
    )


def note(text):
    """A line for the reader, beside the output."""
    click.echo(text, err=True)


def progress():
    """Whether a progress bar has a terminal to move in."""
    return sys.stderr.isatty()
