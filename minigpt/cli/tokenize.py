"""`minigpt tokenize`: a text in its tokens, and their ids."""

import json
import shutil
from itertools import cycle

import click

from minigpt.cli import files, terminal
from minigpt.cli.options import model_option, models_dir_option

COLOURS = ("cyan", "yellow", "green", "magenta", "blue")


@click.command()
@click.argument("text")
@model_option(help="The model whose tokenizer cuts. GPT-2's need not be downloaded.")
@models_dir_option
@click.option(
    "--tokenizer",
    metavar="PATH",
    type=click.Path(exists=True),
    help="A tokenizer's own file, or a folder with vocab.bpe and encoder.json (or "
    "merges.txt and vocab.json), in place of a model's.",
)
@click.option(
    "--special",
    is_flag=True,
    help="Take <|endoftext|> and other special tokens for what they are, not as text.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def tokenize(text, model, models_dir, tokenizer, special, as_json):
    """Show the tokens of TEXT and their ids.

    "-" reads the text from standard input. Spaces show as ␣, line ends as ⏎, and a byte
    that is only a part of a character as \\xe2.

    \b
    minigpt tokenize "Once upon a time"
    minigpt tokenize "Once upon a time" --model gpt2 --json
    """
    text = files.argument_text(text)
    tok = find_tokenizer(tokenizer or model, models_dir)
    ids = tok.encode(text, allowed_special="all" if special else ())
    pieces = tok.pieces(ids)
    if as_json:
        print(json.dumps({"ids": ids, "pieces": pieces}))
        return
    for line in table(pieces, ids, shutil.get_terminal_size().columns):
        print(line)
    print(f"{counted(ids, 'token')}, {counted(text, 'character')}")


def counted(things, name):
    """How many there are, and of what."""
    return f"{len(things):,} {name}{'' if len(things) == 1 else 's'}"


def find_tokenizer(name, models_dir=None):
    """The tokenizer of a model, or in a file or folder; no weights are read.

    GPT-2's need no weights beside it. Raises ``FileNotFoundError`` or ``ValueError``
    where there is none.
    """
    from minigpt import checkpoint, models, vocabulary
    from minigpt.tokenizer import BPETokenizer

    try:
        place = models.find(name, models_dir)
    except FileNotFoundError:
        if name not in models.NAMES:
            raise
        return models.gpt2_tokenizer()
    if place.suffix == ".safetensors":
        place = place.parent
    file = place / "tokenizer.json" if place.is_dir() else place
    if checkpoint.format_of(file) == vocabulary.FORMAT:
        return vocabulary.load(file)
    if place.is_dir():
        return BPETokenizer.from_gpt2(place)
    return BPETokenizer.from_gpt2(file, file)


def table(pieces, ids, columns):
    """Lines of pieces, each line with the ids below it, as wide as the terminal."""
    above, below, used = "", "", 0
    tints = cycle(COLOURS)
    for piece, number in zip(map(visible, pieces), map(str, ids), strict=True):
        wide = terminal.width(piece)
        room = max(wide, len(number)) + 2
        if used and used + room > columns:
            yield from (above.rstrip(), below.rstrip())
            above, below, used = "", "", 0
        tint = next(tints)
        shown = (
            click.style(piece, fg="black", bg=tint) if terminal.coloured() else piece
        )
        above += shown + " " * (room - wide)
        below += number.ljust(room)
        used += room
    if used:
        yield from (above.rstrip(), below.rstrip())


def visible(piece):
    """A token as the book prints it, or in ASCII where that is all one has."""
    from minigpt.plots import scene

    if terminal.shows("␣⏎"):
        return scene.piece(piece)
    plain = terminal.spelt(piece).replace("\n", "\\n").replace("\t", "\\t")
    return plain.replace(" ", "_").encode("ascii", "backslashreplace").decode()
