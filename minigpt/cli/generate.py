"""`minigpt generate`: text, as it is written."""

import sys

import click

from minigpt.cli import files, terminal
from minigpt.cli.options import model_option, models_dir_option, runtime_option

MANY = 200  # new tokens, when neither the context nor the user asks for fewer


@click.command()
@click.argument("prompt", required=False, default="")
@model_option(
    help='What writes: "tales" (shipped), gpt2, gpt2-medium, gpt2-large, gpt2-xl or '
    "124M, 355M, 774M, 1558M (downloaded), or the path of a model or .onnx file."
)
@models_dir_option
@runtime_option
@click.option(
    "--max-new-tokens",
    metavar="N",
    type=click.IntRange(min=0),
    help=f"How many tokens to write at most.  [default: what fits into the model's "
    f"context, at most {MANY}]",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Under 1 the likely becomes likelier, over 1 rarer things come up; 0 always "
    "takes the likeliest token.",
)
@click.option(
    "--top-k",
    metavar="K",
    type=click.IntRange(min=1),
    help="Draw only from the K likeliest tokens.",
)
@click.option(
    "--top-p",
    metavar="P",
    type=click.FloatRange(0, 1, min_open=True),
    help="Draw only from the fewest likely tokens that together have probability P.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="The same seed writes the same text.  [default: another text each time]",
)
@click.option(
    "--stop",
    metavar="TEXT",
    multiple=True,
    help="End before this text; may be given several times. The model's end token "
    "always ends.",
)
@click.option(
    "--eot/--no-eot",
    default=None,
    help="Whether the model sees an end token before the prompt, as before every whole "
    "text it learned from.  [default: --eot, but --no-eot for GPT-2]",
)
@click.option(
    "--echo/--no-echo",
    default=True,
    show_default=True,
    help="Whether to print the prompt before what follows it.",
)
def generate(
    prompt, model, models_dir, runtime, max_new_tokens, stop, eot, echo, **sampling
):
    """Write on from PROMPT.

    "-" reads the prompt from standard input; without one the model begins by itself.

    \b
    minigpt generate "Once there was a girl" --temperature 0.8
    echo "Q: 2 + 2? A:" | minigpt generate - --model gpt2 --stop Q: --top-k 40
    """
    from minigpt import models, streaming
    from minigpt.generate import stream

    prompt = files.argument_text(prompt)
    streaming.TextStream(None, stop)  # a mistake shows before the model is loaded
    params, cfg, tok = models.open_model(model, models_dir, runtime)
    if not getattr(params, "cached", True):
        terminal.note("This graph has no cache, and reads all again for each token.")
    ids = first_ids(tok, prompt, eot, cfg, model)
    room = cfg.n_ctx - len(ids) + 1
    count = min(room, MANY) if max_new_tokens is None else max_new_tokens
    ends = () if tok.eot is None else tok.eot
    new_ids = stream(params, ids, cfg, count, stop=ends, **sampling)
    if echo:
        terminal.write(prompt)
    for piece in streaming.pieces(tok, with_progress(new_ids, count), stop):
        terminal.write(piece)
    terminal.write("\n")


def first_ids(tok, prompt, eot, cfg, model):
    """The ids to begin with. Raises ``ValueError`` where the model cannot read them."""
    from minigpt import streaming

    if tok is None and model.endswith(".onnx"):
        raise ValueError(f"{model} holds no tokenizer: it was exported without one")
    if tok is None:
        raise ValueError(
            f"there is no tokenizer beside the weights of {model}: put its "
            "tokenizer.json, or vocab.json and merges.txt, into their folder"
        )
    ids = streaming.first_ids(tok, prompt, eot)
    if len(ids) > cfg.n_ctx:
        raise ValueError(
            f"the prompt has {len(ids):,} tokens, and the model reads {cfg.n_ctx:,}: "
            "shorten it from its beginning"
        )
    return ids


def with_progress(new_ids, count):
    """The same ids, with a progress bar where the text itself is not seen to grow."""
    from tqdm import tqdm

    seen = sys.stdout.isatty() or not terminal.progress()
    return tqdm(new_ids, total=count, unit=" tokens", leave=False, disable=seen)
