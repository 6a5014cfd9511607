"""Options that several commands share."""

import click
from click.shell_completion import CompletionItem

SHIPPED = "tales"


def model_names(ctx, param, incomplete):
    """For completion: the names of models, or files where none begins like this."""
    from minigpt import models

    names = [n for n in models.NAMES if n.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def model_option(**settings):
    """``--model``, by name or by path."""
    return click.option(
        "--model",
        metavar="NAME|PATH",
        shell_complete=model_names,
        **{"default": SHIPPED, "show_default": True} | settings,
    )


models_dir_option = click.option(
    "--models-dir",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    envvar="MINIGPT_MODELS",
    show_envvar=True,
    help="Where downloaded models are kept, if not in the system's cache folder.",
)

runtime_option = click.option(
    "--runtime",
    type=click.Choice(["numpy", "onnx"]),
    help="What computes.  [default: onnx for an exported .onnx file, else numpy]",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="What all chance is drawn from: the same seed, the same result.",
)
