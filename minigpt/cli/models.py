"""`minigpt download`, `info` and `remove`: models, on disk and on the scales."""

import click

from minigpt.cli import inside, removal
from minigpt.cli.options import model_names, models_dir_option


def download_names(ctx, param, incomplete):
    """For completion: models and data."""
    from minigpt import data, models

    return [n for n in (*models.NAMES, *data.REGISTRY) if n.startswith(incomplete)]


@click.command()
@click.argument("name", shell_complete=download_names)
@models_dir_option
@click.option(
    "--mirror",
    metavar="URL",
    envvar="MINIGPT_MIRROR",
    show_envvar=True,
    help="Where to fetch models from, in place of their public address.",
)
def download(name, models_dir, mirror):
    """Fetch a model or data by NAME.

    What was broken off goes on where it stopped.

    \b
    gpt2 (or 124M, 0.5 GB), gpt2-medium (355M, 1.5 GB), gpt2-large (774M, 3.2 GB),
    gpt2-xl (1558M, 6.4 GB): weights and tokenizer
    tinyshakespeare.txt, sms-spam.tsv, instructions.json, tang300.json: data
    """
    from minigpt import data, models
    from minigpt.cli import terminal

    if name in data.REGISTRY:
        path = data.fetch(name)
    else:
        progress = terminal.progress()
        path = models.download(name, models_dir, mirror=mirror, progress=progress)
    print(path)


@click.command()
@click.argument("model", shell_complete=model_names)
@models_dir_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Texts in a batch, for the memory of training.",
)
def info(model, models_dir, batch_size):
    """Show what is inside of MODEL.

    Its arrays as a tree, its parameters by part, and the memory that it needs. MODEL is
    a name or a path, as for generate. The shapes of GPT-2 are known, so that it need
    not be downloaded.

    \b
    minigpt info tales
    minigpt info gpt2-xl
    """
    import minigpt as mg
    from minigpt import checkpoint, models
    from minigpt.model import PRESETS

    if model in PRESETS:  # before its gigabytes are read for their shapes
        cfg = mg.Config.preset(model)
        params = checkpoint.outline(cfg)
    else:
        params, cfg, _ = models.load(model, models_dir)
    for line in inside.lines(model, params, cfg, batch_size):
        print(line)


@click.command()
@click.argument("model", shell_complete=model_names)
@models_dir_option
def remove(model, models_dir):
    """Delete a downloaded or trained MODEL.

    MODEL is the name of one that was downloaded, or the folder of one that was trained.
    A folder that holds anything but a model, and what training leaves beside it, stays
    as it is.

    \b
    minigpt remove gpt2-medium
    minigpt remove runs/tinyshakespeare
    """
    folder, freed = removal.remove(model, models_dir)
    print(f"Removed {folder}: {freed / 1e6:,.1f} MB")
