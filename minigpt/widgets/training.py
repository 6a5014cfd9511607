"""The saved moments of a training, to drag through. Chapters: loss, training."""

import math
from html import escape

import traitlets as t

from minigpt.plots import curves
from minigpt.plots.scene import visible
from minigpt.widgets import bundle
from minigpt.widgets.alive import Alive, refusing
from minigpt.widgets.still import LIVE, still
from minigpt.widgets.training_record import check_record, shipped_record, small_record

STILL = f"{LIVE}the slider moves through the moments of the training."


class TrainingScrubber(Alive):
    """The loss of a training with its floor, and at each saved moment what the model
    wrote and where one head looked.

    ``record`` is a dict as `minigpt.assets.retrain.History` makes it, by default the
    shipped model's (its form: `minigpt.widgets.training_record`). ``check`` says what
    `minigpt.tales.check` finds in each sample: False where they are no tales.
    ``moment`` and ``sample`` count from 0, ``query`` is the token whose look is shown:
    by default the last question mark, or the last token. Raises ``ValueError`` for
    another record, and for a moment, sample or token that it does not have.
    """

    _esm = bundle.es_module("training_scrubber.js", default="trainingScrubberModule")

    moment = t.Int(0).tag(sync=True, page=True)
    sample = t.Int(0).tag(sync=True, page=True)
    query = t.Int(0).tag(sync=True, page=True)
    shown = t.Dict(read_only=True).tag(sync=True, page=True)

    def __init__(self, record=None, moment=0, sample=0, query=None, *, check=True):
        self.record = shipped_record() if record is None else record
        check_record(self.record)
        if query is None:
            query = asking(self.record.get("tokens", ()))
        places = {"moment": moment, "sample": sample, "query": query}
        for name, value in places.items():
            self._check(name, value)
        super().__init__(**places)
        self.set_trait("shown", small_record(self.record, check))

    @t.validate("moment", "sample", "query")
    def _fits(self, proposal):
        with refusing():
            return self._check(proposal["trait"].name, proposal["value"])

    def _check(self, name, value):
        moments = self.record["moments"]
        lengths = {
            "moment": len(moments),
            "sample": len(moments[0]["samples"]),
            "query": max(1, len(self.record.get("tokens", ()))),
        }
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 0 <= value < lengths[name]:
            raise ValueError(
                f"{name} is a whole number from 0 to {lengths[name] - 1}, not {value!r}"
            )
        return value

    @property
    def now(self):
        """The moment's own entry in the record."""
        return self.record["moments"][self.moment]

    def told(self):
        """The moment in a sentence or two."""
        loss = self.now["val_loss"]
        words = (
            f"Step {self.now['step']:,}, moment {self.moment + 1} of "
            f"{len(self.record['moments'])}: loss {loss:.4f} nats, perplexity "
            f"{math.exp(loss):,.2f}"
        )
        if floor := self.record.get("floor"):
            words += f", {percent(loss, floor)} above the floor"
        if look := self.look():
            token, key, share = look
            words += f". “{token}” looks {share:.2f} at “{key}”"
        return f"{words}."

    def look(self):
        """The token that is asked about, the one that it looks at most in the end, and
        the share of its attention that goes there now; None without attention."""
        if "attention" not in self.now:
            return None
        tokens = [visible(token.strip()) or "␣" for token in self.record["tokens"]]
        last = self.record["moments"][-1]["attention"][self.query]
        key = max(range(len(last)), key=last.__getitem__)
        share = float(self.now["attention"][self.query][key])
        return tokens[self.query], tokens[key], share

    def picture(self):
        """The curve of the loss as a `Picture`, on a logarithmic axis."""
        moments = [moment for moment in self.record["moments"] if moment["step"]]
        loss, every = self.record.get("loss", ()), self.record.get("loss_every", 1)
        lines = {"training": ([every * (i + 0.5) for i in range(len(loss))], loss)}
        steps, losses = [m["step"] for m in moments], [m["val_loss"] for m in moments]
        lines = {name: line for name, line in lines.items() if len(loss)}
        lines |= {"held out": (steps, losses)} if moments else {}
        if not lines:
            lines = {"held out": ([1], [self.now["val_loss"]])}
        floor = self.record.get("floor")
        return curves(
            lines,
            f"The loss of a training against its steps. {self.told()}",
            floor=("floor", floor) if floor else None,
            logx=True,
            xlabel="step (logarithmic)",
            ylabel="loss (nats a token)",
        )

    def still(self):
        """The slider, what the model wrote at the moment, and the curve."""
        place = self.moment / max(1, len(self.record["moments"]) - 1)
        sliders = [("moment", place, f"step {self.now['step']:,}")]
        text = escape(visible(self.now["samples"][self.sample]))
        picture = f"<p>{escape(self.told())}</p>{self.picture().html()}"
        return still(text, sliders, picture, STILL)

    def __repr__(self):
        return f"A slider through the moments of a training. {self.told()}"


def asking(tokens):
    """The place of the last question mark, or of the last token."""
    marks = [i for i, token in enumerate(tokens) if token.strip() == "?"]
    return marks[-1] if marks else max(0, len(tokens) - 1)


def percent(loss, least):
    """By how much a loss is above another, as the page says it."""
    above = 100 * (loss / least - 1)
    return f"{above:,.0f} %" if above >= 100 else f"{above:.1f} %"
