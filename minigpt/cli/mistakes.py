"""A user's mistake becomes a sentence and an exit code; a bug keeps its traceback."""

import dis
import errno
import sys

import click

PACKAGE = __name__.split(".")[0]
RAISE = dis.opmap["RAISE_VARARGS"]  # what a ``raise`` is compiled to
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class Commands(click.Group):
    """A group of commands under which the errors of the package are sentences."""

    def main(self, *args, **settings):
        """Run; text that the terminal cannot show is spelt out (``\\xe9``)."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **settings)

    def parse_args(self, ctx, args):
        """Keep the arguments, for commands that say how to go on."""
        ctx.meta["minigpt.args"] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx):
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)  # what follows begins on a line of its own
            ctx.exit(INTERRUPTED)
        except (
            OSError,
            ValueError,
            FloatingPointError,
            ImportError,
            MemoryError,
        ) as error:
            if ctx.params["debug"] or not is_mistake(error):
                raise
            raise click.ClickException(sentence(error)) from error


def is_mistake(error):
    """Whether an error speaks to the user: the system's about files and memory do (but
    for a pipe that nobody reads, which click ends quietly), and those that a ``raise``
    of this package made. A ``ValueError`` from elsewhere is a bug of ours.
    """
    if isinstance(error, OSError):
        return error.errno != errno.EPIPE
    if isinstance(error, MemoryError):
        return True
    place = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    frame = place.tb_frame  # of which neither source nor file name need be there
    ours = frame.f_globals.get("__name__", "").split(".")[0] == PACKAGE
    return ours and frame.f_code.co_code[place.tb_lasti] == RAISE


def sentence(error):
    """What an error says, in words."""
    if isinstance(error, MemoryError):
        return (
            f"the memory of this machine does not suffice: {str(error) or 'it is full'}"
        )
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return where + error.strerror
    return str(error)
