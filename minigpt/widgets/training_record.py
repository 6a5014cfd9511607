"""The record of a training, as `TrainingScrubber` takes it: checked, and made small.

It is a dict as `minigpt.assets.retrain.History` leaves it. `moments` is a list of dicts
with `step`, `val_loss`, `samples` (texts) and perhaps `attention` (rows that end at
their token). Beside it may stand `loss`, means of `loss_every` steps each; `floor`, the
least loss that the language allows, and `perfect`, the one on the very texts that
`val_loss` is measured on; and, with `attention`, `tokens`, `layer` and `head`.
"""

import itertools
import json
import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from minigpt import tales
from minigpt.checkpoint import find

MOMENTS, TOKENS, POINTS = 40, 128, 400  # at most: a page has to carry them
NATS = 700  # at most: perplexity, exp of more, is too large for a float
NUMBERS = 100_000  # of attention
LONGEST = 4_000  # characters of a sample
WAY = "minigpt.assets.retrain.History makes one in a training"


def shipped_record():
    """The record of the model that the book ships."""
    return json.loads((find("tales") / "history.json").read_text("utf-8"))


def check_record(record):
    """Raise ``ValueError`` for what is no record of a training."""
    if not isinstance(record, Mapping):
        raise ValueError(f"a record is a dict, not {type(record).__name__}: {WAY}")
    moments = record.get("moments")
    if not isinstance(moments, list) or not 1 <= len(moments) <= MOMENTS:
        raise ValueError(f"a record has 1 to {MOMENTS} `moments` in a list: {WAY}")
    for number, moment in enumerate(moments):
        _check_moment(number, moment)
    steps = [moment["step"] for moment in moments]
    if any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError(f"the moments' steps must rise from each to the next: {steps}")
    if len({len(moment["samples"]) for moment in moments}) > 1:
        raise ValueError("every moment needs as many samples as the first one has")
    for name in ("floor", "perfect"):
        if record.get(name) is not None:
            _positive(record[name], f"`{name}`")
    for i, value in enumerate(record.get("loss", ())):
        _positive(value, f"`loss[{i}]`")
    every = record.get("loss_every", 1)
    if not isinstance(every, Integral) or every < 1:
        raise ValueError(f"`loss_every` is a whole number of steps, not {every!r}")
    if any("attention" in moment for moment in moments):
        _check_attention(record)


def _check_moment(number, moment):
    missing = [n for n in ("step", "val_loss", "samples") if n not in moment]
    if missing:
        raise ValueError(f"moment {number} has no `{missing[0]}`: {WAY}")
    step, samples = moment["step"], moment["samples"]
    if not isinstance(step, Integral) or step < 0:
        raise ValueError(f"moment {number}: `step` is a number of steps, not {step!r}")
    _positive(moment["val_loss"], f"moment {number}: `val_loss`")
    if not samples or not all(isinstance(text, str) for text in samples):
        raise ValueError(f"moment {number}: `samples` is a list of one text or more")
    if max(map(len, samples)) > LONGEST:
        raise ValueError(
            f"moment {number} has a sample of {max(map(len, samples)):,} characters, "
            f"and a page shows {LONGEST:,}: cut it"
        )


def _positive(value, what):
    if not isinstance(value, Real) or not 0 < value <= NATS:
        raise ValueError(
            f"{what} is a positive number of nats up to {NATS}, not {value!r}"
        )


def _check_attention(record):
    tokens, moments = record.get("tokens", []), record["moments"]
    T = len(tokens)
    if not 1 <= T <= TOKENS:
        raise ValueError(f"`attention` needs 1 to {TOKENS} `tokens`, and there are {T}")
    if len(moments) * T * (T + 1) // 2 > NUMBERS:
        raise ValueError(
            f"the attention of {len(moments)} moments over {T} tokens is over "
            f"{NUMBERS:,} numbers: a shorter text or fewer moments would do"
        )
    for number, moment in enumerate(moments):
        lengths = [len(row) for row in moment.get("attention", ())]
        if lengths != list(range(1, T + 1)):
            raise ValueError(
                f"moment {number}: `attention` has a row for each of the {T} tokens, "
                "which ends at that token"
            )
        shares = np.concatenate([np.asarray(row, float) for row in moment["attention"]])
        if not ((shares >= 0) & (shares <= 1)).all():
            raise ValueError(f"moment {number}: `attention` has shares from 0 to 1")


def verdict(text):
    """What `minigpt.tales.check` says: how many faults, and the first one in the text
    itself, if there is one, since those of its form tell less."""
    problems = tales.check(text).problems
    told = [problem for problem in problems if problem.startswith("Sentence")]
    return [len(problems), (told or problems or [""])[0]]


def small_record(record, checked=True):
    """The record for a page: attention in thousandths, row after row; at most so many
    points of the curve; what the checker of tales says of each sample."""
    loss = [float(value) for value in record.get("loss", ())]
    every = int(record.get("loss_every", 1))  # NumPy's numbers are not JSON's
    if (group := math.ceil(len(loss) / POINTS)) > 1:
        loss = np.reshape(loss[: len(loss) // group * group], (-1, group)).mean(-1)
        loss, every = loss.round(4).tolist(), every * group
    moments = []
    for moment in record["moments"]:
        kept = {"step": int(moment["step"]), "val_loss": float(moment["val_loss"])}
        kept["samples"] = list(moment["samples"])
        if checked:
            kept["verdicts"] = [verdict(text) for text in moment["samples"]]
        if "attention" in moment:
            rows = np.concatenate(moment["attention"])
            kept["attention"] = (1000 * rows).round().astype(int).tolist()
        moments.append(kept)
    names = ("floor", "perfect", "layer", "head", "tokens")
    own = {name: record[name] for name in names if record.get(name) is not None}
    own |= {name: float(own[name]) for name in ("floor", "perfect") if name in own}
    return own | {"loss": loss, "loss_every": every, "moments": moments}
