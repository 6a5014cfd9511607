"""`minigpt finetune`: a trained model learns a task from examples."""

import click

from minigpt.cli import files, tasks, training
from minigpt.cli.options import model_option, models_dir_option

DEFAULTS = {"steps": 200, "batch_size": 16, "lr": 1e-3}


@click.group()
def finetune():
    """Teach a trained model a task."""


def task_options(head):
    """A decorator: the options of both tasks; what the head is differs."""
    method = click.option(
        "--method",
        type=click.Choice(["head", "last", "all"]),
        default="all",
        show_default=True,
        help=f"What is trained: {head}; or all.",
    )
    model = model_option(help="The model to begin from, by name or path.")

    def add(command):
        for option in (training.training_options(**DEFAULTS), method):
            command = option(command)
        return model(models_dir_option(command))

    return add


@finetune.command()
@click.argument("file", shell_complete=files.completions(".tsv"))
@task_options("a new head with a row for each label; this with the last block and norm")
@click.pass_context
def classify(ctx, file, model, models_dir, method, out, val_share, **given):
    """Learn to name the label of a text.

    Each line of FILE (or "-" for standard input) is a label, a TAB and a text; a line
    that stands there twice counts once. A text longer than the model's context is cut.
    labels.json beside the model has the labels' names, in the order of the head's rows;
    in Python, minigpt.finetune.predict asks the model for the label of a text.

    \b
    minigpt finetune classify sms-spam.tsv --method last --steps 100
    """
    from minigpt import finetune as tuning

    out = training.run_folder(out, file, given["resume"])
    rows = tasks.read_labelled(file)
    names = sorted({row.wanted for row in rows})
    params, cfg, tok = load(model, models_dir)
    params = tuning.add_head(params, len(names), given["seed"])

    def example(row, n_ctx=None):
        return tuning.labelled(tok, [row.text], [names.index(row.wanted)], n_ctx)[0]

    long = sum(len(e) > cfg.n_ctx + 1 for e in tasks.map_rows(example, rows))
    if long:
        print(
            f"{long:,} of {len(rows):,} texts do not fit into the context of "
            f"{cfg.n_ctx}, and are cut"
        )
    rows = [example(row, cfg.n_ctx) for row in rows]
    learned, held_out = tasks.shuffled_split(rows, val_share, given["seed"])
    params = tune(
        *(ctx, out, (params, cfg, tok), learned, held_out, given),
        trained=trained(params, cfg, method, "head", unread="lm_head"),
        loss=tuning.label_loss,
        beside={"labels.json": names},
    )
    if held_out:
        guessed = tuning.predict(params, cfg, held_out)
        tasks.report_labels(guessed, held_out, names)
    print(f"The model and its labels.json are in {out}")


@finetune.command()
@click.argument("file", shell_complete=files.completions(".json"))
@task_options(
    "an output matrix of the model's own, which begins as the embedding; the last "
    "block and norm"
)
@click.pass_context
def answer(ctx, file, model, models_dir, method, out, val_share, **given):
    """Learn to answer instructions.

    FILE (or "-" for standard input) is a JSON list. Its objects have texts under
    "instruction", "input" (which may be missing or empty) and "output". Only the output
    is learned. Examples longer than the model's context are left out.

    \b
    minigpt finetune answer instructions.json --model gpt2 --lr 1e-4
    """
    from minigpt import finetune as tuning

    out = training.run_folder(out, file, given["resume"])
    rows = tasks.read_questions(file)
    params, cfg, tok = load(model, models_dir)

    def example(row):
        return tuning.answered(tok, [row.text], [row.wanted])[0]

    pairs = list(zip(tasks.map_rows(example, rows), rows, strict=True))
    fitting = [(e, row) for e, row in pairs if len(e) <= cfg.n_ctx + 1]
    if len(fitting) < len(pairs):
        print(
            f"{len(pairs) - len(fitting):,} of {len(pairs):,} examples do not fit into "
            f"the context of {cfg.n_ctx}, and are left out"
        )
    learned, held_out = tasks.shuffled_split(fitting, val_share, given["seed"])
    if method == "head":
        params = {"lm_head": params["wte"]} | params
    parts = trained(params, cfg, method, "lm_head", unread="head")
    before = params
    params = tune(
        *(ctx, out, (params, cfg, tok), [e for e, _ in learned]),
        *([e for e, _ in held_out], given),
        trained=parts,
    )
    if held_out:
        tasks.report_answers(before, params, cfg, tok, held_out)
    print(f'Ask it:  minigpt generate "Q: … A:" --eot --model {out}')


def load(model, models_dir):
    """A model with a tokenizer, which fine-tuning needs."""
    from minigpt import models

    params, cfg, tok = models.load(model, models_dir)
    if tok is None:
        raise ValueError(f"there is no tokenizer beside the weights of {model}")
    if tok.eot is None:
        raise ValueError(
            f"the tokenizer of {model} has no end token, between which examples stand: "
            "begin with tales, GPT-2 or a model that was trained with --lines"
        )
    return params, cfg, tok


def trained(params, cfg, method, head, unread):
    """The patterns of what a method trains (see `finetune.matching`). What the loss
    does not read is left out, or weight decay would shrink it."""
    last = [f"h.{cfg.n_layer - 1}", "ln_f", *[head][: head in params]]
    patterns = {"head": [head], "last": last, "all": ["*"]}[method]
    return [*patterns, *[f"!{unread}"][: unread in params and method == "all"]]


def tune(ctx, out, start, learned, held_out, given, *, beside=None, **task):
    """The parameters after fine-tuning; the folder gets the model, its tokenizer, its
    curve, and as JSON what is to stand ``beside`` it."""
    from minigpt import finetune as tuning
    from minigpt import tree

    params, cfg, tok = start
    names = set(tuning.matching(params, task["trained"]))
    moved, _ = tree.split(params, names.__contains__)
    print(
        f"{len(learned):,} examples to learn from, {len(held_out):,} held out; "
        f"{tree.size(moved):,} of {tree.size(params):,} parameters are trained",
        flush=True,
    )
    training.keep(out, tok, beside)

    def finish():
        training.complete_best(out, tok, beside)

    with training.kept(ctx, out, finish):
        settings = training.settings_of_run(out=out, **given)
        result = tuning.tune(params, cfg, learned, held_out or None, **settings, **task)
    return result.params
