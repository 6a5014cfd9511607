"""`minigpt show`: an exported graph in the browser, by Netron."""

import errno
import logging
import time
import webbrowser
from pathlib import Path

import click

HOST = "127.0.0.1"  # this machine alone
# What a ModelProto of ONNX may hold: the numbers of its fields, and how protobuf writes
# each, 0 for a number and 2 for bytes behind their length. The graph is 7.
FIELDS = {1: 0, 5: 0} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), 2)
GRAPH = 7


@click.command()
@click.argument("path", metavar="FILE.onnx", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--browser/--no-browser", default=True, help="Open the page, or only tell of it."
)
def show(path, port, browser):
    """Look at an exported graph with Netron.

    FILE.onnx is what `minigpt export` writes, or another ONNX file. Every operator is
    a box that tells, when it is clicked, what it reads, makes and is for. Netron is a
    program of its own: pip install netron. Its page comes from this machine and works
    without a network; where there is one, it tells its makers that it was used. Ctrl-C
    ends it.

    \b
    minigpt export tales tales.onnx
    minigpt show tales.onnx
    """
    check(path)
    netron = import_netron()
    address = serve(netron, path, port)
    try:
        url = "http://{}:{}".format(*address)
        click.echo(f"{url} shows {path.name}; Ctrl-C ends it")
        if browser:
            webbrowser.open(url)
        while netron.status(address):
            time.sleep(0.2)
    finally:
        netron.stop(address)


def check(path):
    """Raise ``ValueError`` or ``FileNotFoundError`` for what is no ONNX file."""
    from minigpt import models

    if path.is_file():
        if not is_onnx(path):
            raise ValueError(
                f"{path} is no ONNX file, or only the beginning of one: "
                "`minigpt export MODEL FILE.onnx` writes one"
            )
    elif path.is_dir() or str(path) in models.NAMES:
        raise ValueError(
            f"{path} is a model, and show takes an ONNX file: `minigpt export {path} "
            f"{path.name}.onnx` writes one. `minigpt info {path}` prints the model's "
            "arrays"
        )
    else:
        raise FileNotFoundError(
            f"there is no file {path}: `minigpt export MODEL {path}` writes one"
        )


def is_onnx(path):
    """Whether a file is a whole ModelProto with a graph, by its outermost fields."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return GRAPH in set(fields(file, size)) and file.tell() == size
        except (EOFError, ValueError):
            return False


def fields(file, size):
    """The numbers of the fields of a ModelProto. What they hold is skipped, perhaps
    gigabytes. Raises ``ValueError`` and ``EOFError`` for anything else."""
    while file.tell() < size:
        number, kind = divmod(varint(file), 8)
        if FIELDS.get(number) != kind:
            raise ValueError(f"a ModelProto has no field {number} of kind {kind}")
        value = varint(file)
        if kind == 2:
            file.seek(min(file.tell() + value, size + 1))
        yield number


def varint(file):
    """A number as protobuf writes it: seven bits in a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("the file ends within a number")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("a number of more than ten bytes")


def import_netron():
    """The library; a ``ClickException`` with what installs it where it is missing."""
    try:
        import netron
    except ModuleNotFoundError as error:
        if error.name != "netron":
            raise
        raise click.ClickException(
            "what draws the graph is Netron, which is not installed: pip install netron"
        ) from error
    logging.getLogger("netron").setLevel(logging.WARNING)  # the address is told here
    return netron


def serve(netron, path, port):
    """Netron's ``(host, port)``, which answers from a thread now."""
    try:
        return netron.serve(str(path), address=(HOST, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "is taken: choose another --port, or 0 for a free one"
        elif error.errno == errno.EACCES:
            why = "needs rights that you lack: choose a --port from 1024"
        else:
            raise
        raise OSError(f"the port {port} {why}") from error
