"""What `minigpt train` and `minigpt finetune` share: options, the folder, the end."""

import contextlib
import json
import shlex
from pathlib import Path

import click

from minigpt.cli import terminal
from minigpt.cli.mistakes import INTERRUPTED
from minigpt.cli.options import seed_option

WARMUP = 100  # steps at most, when the user does not say

OF_A_RUN = (
    click.option(
        "--warmup",
        metavar="STEPS",
        type=click.IntRange(min=0),
        help="Updates over which the learning rate rises.  [default: a tenth of all, "
        f"at most {WARMUP}]",
    ),
    click.option(
        "--weight-decay",
        type=click.FloatRange(min=0),
        default=0.1,
        show_default=True,
        help="How strongly weights are drawn towards 0.",
    ),
    click.option(
        "--val-share",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.1,
        show_default=True,
        help="The share of the data that is held out to measure by.",
    ),
    click.option(
        "--out",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="Where the model goes.  [default: runs/ and the data's name]",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Go on with the run in the folder, from its last checkpoint; all else "
        "must be as it was.",
    ),
    seed_option,
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="Processes that share an update.  [default: by its size, or as the run "
        "began]",
    ),
)


def training_options(**defaults):
    """A decorator: the options of a training run. ``defaults`` of "steps", "batch_size"
    and "lr" differ from task to task."""
    kinds = {
        "steps": (click.IntRange(min=1), "How many updates to make."),
        "batch_size": (
            click.IntRange(min=1),
            "How many texts, or windows of a text, an update learns from.",
        ),
        "lr": (
            click.FloatRange(min=0, min_open=True),
            "The learning rate at its greatest.",
        ),
    }
    first = [
        click.option(
            f"--{name.replace('_', '-')}",
            type=kind,
            help=words,
            default=defaults[name],
            show_default=True,
        )
        for name, (kind, words) in kinds.items()
    ]

    def add(command):
        for option in reversed((*first, *OF_A_RUN)):
            command = option(command)
        return command

    return add


def settings_of_run(*, steps, warmup, out, resume, **same):
    """The settings of `mg.fit` for what `training_options` gave, without val_share."""
    progress = terminal.progress()
    return same | {
        "steps": steps,
        "warmup": min(steps // 10, WARMUP) if warmup is None else warmup,
        "out": out,
        "resume": resume,
        "progress": progress,
        "callback": None if progress else lines(steps),
    }


def run_folder(out, name, resume):
    """The folder of a run. Raises ``ValueError`` before any work when it is taken."""
    out = out or Path("runs", Path(name).stem if name != "-" else "text")
    taken = (out / "model.safetensors").exists() or newest_step(out) is not None
    if taken and not resume:
        raise ValueError(
            f"{out} holds a run or a model already: choose another folder by --out, or "
            "go on with a run that was broken off by --resume"
        )
    return out


def keep(out, tok, beside=None):
    """Write the tokenizer, and what stands ``beside`` a model (see `put`), before the
    first checkpoint; a resumed run has them.

    Raises ``ValueError``, and writes nothing, when the run was begun with others.
    """
    if newest_step(out) is not None:
        check_same(out, tok, beside or {})
    out.mkdir(parents=True, exist_ok=True)
    put(out, tok, beside)


def check_same(out, tok, beside):
    """Raise ``ValueError`` where a run's folder holds another tokenizer, or something
    else ``beside`` it; a file that is gone is no obstacle."""
    from minigpt import vocabulary

    path = out / "tokenizer.json"
    if path.exists() and vocabulary.load(path) != tok:
        raise ValueError(
            f"{out} was begun with another tokenizer, or another text for it to learn "
            "from: resume with what it was begun with"
        )
    for name, content in beside.items():
        path = out / name
        if path.exists() and path.read_bytes() != as_json(content):
            raise ValueError(
                f"{path} holds something else than {content!r:.200}, with which this "
                "run would go on: resume with what it was begun with"
            )


def complete_best(out, tok, beside=None):
    """`put` these beside the model that was best on held-out data, if there is one."""
    if (out / "best" / "model.safetensors").exists():
        put(out / "best", tok, beside)


def put(folder, tok, beside=None):
    """Write the tokenizer, and each of ``{file name: what it holds}`` as JSON."""
    from minigpt.checkpoint import write

    tok.save(folder / "tokenizer.json")
    for name, content in (beside or {}).items():
        write(folder / name, as_json(content))


def as_json(content):
    """The bytes of a JSON file."""
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def newest_step(out):
    """The step of the newest checkpoint in a folder, or None."""
    from minigpt.run import checkpoints, step_of

    found = checkpoints(out)
    return step_of(found[-1]) if found else None


def lines(steps):
    """A callback for `mg.fit`: ten lines in all, where no progress bar can be seen."""
    tenth = max(1, steps // 10)
    told = 0

    def callback(record):
        nonlocal told
        if record["step"] // tenth == told and record["step"] < steps:
            return
        told = record["step"] // tenth
        held_out = record["val_loss"]
        more = "" if held_out is None else f", held out {held_out:.3f}"
        seconds = f"{record['seconds']:.0f} s"
        print(f"step {record['step']}: loss {record['loss']:.3f}{more}, {seconds}")
        if "sample" in record:
            print(record["sample"], flush=True)

    return callback


@contextlib.contextmanager
def kept(ctx, out, finish, floor=None):
    """Around a run in the folder ``out``: at its end, or when Ctrl-C breaks it off, the
    curve is drawn (``floor`` as in `plots.curves`) and ``finish()`` completes what lies
    there; the latter also when an error ends it. After Ctrl-C the reader is told how
    to go on."""
    try:
        yield
        broken_off = False
    except KeyboardInterrupt:
        broken_off = True
    except (FloatingPointError, MemoryError, OSError):
        with contextlib.suppress(OSError):  # what ended the run says more
            if newest_step(out) is not None:
                finish()
        raise
    step = newest_step(out)
    if step is None:
        terminal.note("\nBroken off before the first step: nothing was learned yet.")
        ctx.exit(INTERRUPTED)
    draw(out, floor)
    finish()
    if broken_off:
        args = ctx.meta["minigpt.args"]
        again = shlex.join(["minigpt", *args, *({"--resume"} - set(args))])
        terminal.note(f"\nBroken off; {out} keeps what {step:,} steps learned. Go on:")
        terminal.note(f"  {again}")
        ctx.exit(INTERRUPTED)


def draw(out, floor=None):
    """The curve of a run's loss, and of that on held-out data, as ``loss.png``."""
    from minigpt import plots
    from minigpt.checkpoint import write

    history = (out / "history.jsonl").read_text("utf-8").splitlines()
    if not (records := [json.loads(line) for line in history]):
        return
    series = {"training": [(r["step"], r["loss"]) for r in records]}
    if held_out := [
        (r["step"], v) for r in records if (v := r["val_loss"]) is not None
    ]:
        series["held out"] = held_out
    last = records[-1]
    picture = plots.curves(
        {name: tuple(zip(*points, strict=True)) for name, points in series.items()},
        alt=f"The loss after {last['step']} steps is {last['loss']:.3f} nats.",
        xlabel="step",
        ylabel="loss, nats",
        floor=floor,
    )
    write(out / "loss.png", picture.png())
