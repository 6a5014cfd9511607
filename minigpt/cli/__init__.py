"""The command line: `minigpt …`, or `python -m minigpt …`.

A file of this package holds one group of commands. What takes time to import, they
import when they run, so that help and completion stay quick.
"""

import click

from minigpt import __version__
from minigpt.cli.bench import bench
from minigpt.cli.complete import completion
from minigpt.cli.export import export
from minigpt.cli.finetune import finetune
from minigpt.cli.generate import generate
from minigpt.cli.mistakes import Commands
from minigpt.cli.models import download, info, remove
from minigpt.cli.serve import serve
from minigpt.cli.show import show
from minigpt.cli.tokenize import tokenize
from minigpt.cli.train import train

EPILOG = """\b
Exit codes: 0 done, 1 a mistake in what was given, 2 a mistake in the command line,
130 broken off by Ctrl-C. Each command has its own --help."""


@click.group("minigpt", cls=Commands, epilog=EPILOG)
@click.option(
    "--debug",
    is_flag=True,
    envvar="MINIGPT_DEBUG",
    show_envvar=True,
    help="Show where in the program an error arose, instead of a sentence.",
)
@click.version_option(__version__, message="minigpt %(version)s")
def main(debug):
    """A GPT in NumPy: write, train, fine-tune, and look at what is inside.

    \b
    minigpt generate "Once there was a girl"   # the model that is shipped writes
    minigpt train tinyshakespeare.txt          # and here is one of your own
    minigpt tokenize "Hello, world"            # what they see of a text
    minigpt serve                              # they answer by HTTP
    """


COMMANDS = [generate, train, tokenize, finetune, serve, export, show]
COMMANDS += [download, info, remove, bench, completion]
for command in COMMANDS:
    main.add_command(command)
