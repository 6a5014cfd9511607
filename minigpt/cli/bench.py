"""`minigpt bench`: how fast it all is, beside other libraries."""

import os
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    *("training", "decoding", "serving", "encoding"),
    *("book", "shakespeare", "growth", "spent"),
)


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS), metavar="[PART]...")
@click.option("--quick", is_flag=True, help="A try at small sizes, kept apart.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    help="How often each figure is measured: 5, or 2 for a quick try.",
)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where results go, if not into benchmarks/ (a quick try: runs/benchmarks/).",
)
@click.pass_context
def bench(ctx, parts, quick, rounds, out):
    """Measure speed and memory beside others.

    Prints tables, and writes them to RESULTS.md and results.json. Libraries that are
    not installed are named as missing; requirements-parity.txt lists them.

    \b
    [PART]... is one or more of these, and all where none is named:
    training     a step of training: seconds, operations, memory
    decoding     writing with 124 million parameters
    serving      many requests at once, and many clients of a server
    encoding     tokenizers, at work and learning
    book         its build, its notebooks, the tests
    shakespeare  a whole training, beside the same in PyTorch
    growth       how cost grows with tokens, width, depth and context
    spent        where a step spends its time, and PyTorch's
    """
    program = ROOT / "benchmarks"
    if not (program / "__main__.py").is_file():
        raise ValueError(
            f"there are no benchmarks in {program}: they come with the source, not "
            "with the installed package. Run this from a checkout"
        )
    command = [sys.executable, str(program), *parts]
    command += ["--quick"] if quick else []
    command += ["--rounds", str(rounds)] if rounds else []
    command += ["--out", str(out)] if out else []
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": path}
    ctx.exit(subprocess.run(command, env=env).returncode)
