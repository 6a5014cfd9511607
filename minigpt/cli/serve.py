"""`minigpt serve`: a model behind HTTP."""

import signal

import click

from minigpt.cli import terminal
from minigpt.cli.mistakes import INTERRUPTED
from minigpt.cli.options import model_option, models_dir_option, runtime_option


@click.command()
@model_option(
    help='What answers: "tales" (shipped), gpt2 or one of its sizes (downloaded), or '
    "the path of a model, or of an exported graph: best with --cache."
)
@models_dir_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at. Only this machine reaches 127.0.0.1; everyone who "
    "can reach this machine reaches 0.0.0.0.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=3000,
    show_default=True,
    help="0 takes a free one.",
)
@runtime_option
@click.option(
    "--cors",
    metavar="ORIGIN",
    multiple=True,
    help="Let pages from ORIGIN ask, such as https://example.org; may be given several "
    "times.  [default: none]",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="Answer to this name, too; may be given several times.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="How many requests may wait; others are told to ask again.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long a request may take.",
)
@click.pass_context
def serve(ctx, model, models_dir, runtime, **settings):
    """Answer requests by HTTP.

    The page at / has the sampling and attention explorers, driven by the model; /docs
    describes the addresses for programs. Ctrl-C ends it when the texts that are being
    written have ended, and a second one at once.

    \b
    minigpt serve
    minigpt serve --model gpt2 --port 8000
    curl localhost:3000/api/generate -H 'content-type: application/json' \\
         -d '{"prompt": "Once there was", "strategy": "top-p", "p": 0.9}'
    """
    try:
        from minigpt.server import start
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
    from minigpt import models

    models.find(model, models_dir)  # a mistake shows before anything starts
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        server = start(
            model, models_dir=models_dir, runtime=runtime, wait=False, **settings
        )
        until_ended(ctx, server)
    finally:
        signal.signal(signal.SIGTERM, before)


def until_ended(ctx, server):
    """Say where it answers, and wait until Ctrl-C ends it."""
    try:
        click.echo(f"{server.url} answers; Ctrl-C ends it")
        until_loaded(server)
        while not server.wait(1.0):
            pass
    except KeyboardInterrupt:
        terminal.note("\nending")
        server.stop()
        ctx.exit(INTERRUPTED)


def until_loaded(server):
    """Return when the model is there, and say so; raise what keeps it away."""
    while not server.served.ended.wait(1.0):
        pass
    if (error := server.served.error) is not None:
        server.stop()
        missing = isinstance(error, ModuleNotFoundError)  # ONNX Runtime
        raise click.ClickException(str(error)) if missing else error
    click.echo(f"{server.served.name} is loaded")
