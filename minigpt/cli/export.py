"""`minigpt export`: a model as a graph that other programs run."""

from pathlib import Path

import click

from minigpt.cli import inside, terminal
from minigpt.cli.options import model_names, models_dir_option


@click.command()
@click.argument("model", shell_complete=model_names)
@click.argument("out", metavar="OUT.onnx", type=click.Path(path_type=Path))
@models_dir_option
@click.option(
    "--cache/--no-cache",
    default=False,
    show_default=True,
    help="Whether the graph takes and gives the keys and values of earlier tokens, "
    "which makes writing fast.",
)
@click.option(
    "--external-data",
    is_flag=True,
    help="Put the weights into a file beside it, OUT.onnx.data. Over 2 GB they are "
    "in any case.",
)
def export(model, out, models_dir, cache, external_data):
    """Write MODEL as an ONNX graph to OUT.onnx.

    ONNX Runtime runs it, Netron shows it. Configuration and tokenizer travel along.
    MODEL is a name or a path, as for generate.

    \b
    minigpt export tales tales.onnx --cache
    minigpt generate "Once there was a girl" --model tales.onnx
    """
    check_place(out)
    import tqdm

    from minigpt import models, tree
    from minigpt.export import export as write
    from minigpt.export.messages import OPSET, import_onnx

    import_onnx()  # a mistake shows before the model is loaded
    params, cfg, tok = models.load(model, models_dir)
    total = 4 * tree.size(params)
    shown = {"unit": "B", "unit_scale": True, "leave": False, "desc": out.name}
    with tqdm.tqdm(total=total, disable=not terminal.progress(), **shown) as bar:
        options = {"tok": tok, "cache": cache, "name": Path(model).name}
        options |= {"external_data": external_data or None, "progress": bar.update}
        files = write(params, cfg, out, **options)
    sizes = " and ".join(f"{f} ({inside.amount(f.stat().st_size)})" for f in files)
    kind = "with" if cache else "without"
    click.echo(
        f"Wrote {sizes}, opset {OPSET}, {kind} a cache. It writes on from a text: "
        f"minigpt generate TEXT --model {out}"
    )


def check_place(out):
    """Raise ``ValueError`` where ``out`` is, or its data would be, another's file."""
    from minigpt.export.messages import is_ours

    data = out.with_name(f"{out.name}.data")
    if out.suffix != ".onnx":
        raise ValueError(f"{out} does not end in .onnx, by which a graph is known")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write into")
    if out.exists() and not (out.is_file() and is_ours(out)):
        raise ValueError(
            f"{out} is there, and minigpt did not write it: it is not overwritten"
        )
    if data.exists() and not out.exists():
        raise ValueError(
            f"{data} is there without its graph: it is not overwritten, delete it if "
            "nothing needs it"
        )
