"""The files that commands read, standard input among them, and data by name."""

import sys
from pathlib import Path

from click.shell_completion import CompletionItem


def names(ending):
    """The registered data of one kind, which can be read without a file."""
    from minigpt.data import REGISTRY

    return [name for name in REGISTRY if name.endswith(ending)]


def completions(ending, *more):
    """For completion: those names, or files where none begins like what is typed."""

    def complete(ctx, param, incomplete):
        found = [n for n in (*more, *names(ending)) if n.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]

    return complete


def read(file, ending, *more):
    """The text of a file, of "-" (standard input), or of registered data.

    Raises ``FileNotFoundError`` with what could be read.
    """
    from minigpt import data

    if file == "-" or Path(file).exists():
        return read_text(file)
    if file not in names(ending):
        known = ", ".join([*more, *names(ending)])
        raise FileNotFoundError(f"there is no file {file}; known by name: {known}")
    return data.read(file)


def read_text(path):
    """The text of a UTF-8 file, or of standard input where ``path`` is "-".

    Lines end with "\\n" whatever ended them. Raises ``ValueError`` for other encodings.
    """
    name = "standard input" if str(path) == "-" else str(path)
    if str(path) == "-":
        content = sys.stdin.buffer.read()
    else:
        content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not text in UTF-8: the byte 0x{content[error.start]:02x} at "
            f"position {error.start} begins no character"
        ) from None
    return text.replace("\r\n", "\n")


def argument_text(text):
    """A text as it was given, or for "-" standard input without its last line end."""
    return read_text("-").removesuffix("\n") if text == "-" else text
