"""Sliders for temperature and top-k over a model's next token. Chapter: generation."""

from html import escape

import ipywidgets as widgets
import numpy as np

from minigpt.generate import check_ids, generate
from minigpt.model import gpt
from minigpt.plots import bars, piece
from minigpt.sampling import check_settings, distribution
from minigpt.widgets.still import still

VIEW = "application/vnd.jupyter.widget-view+json"
HOTTEST = 3.0  # the right end of the temperature's slider


class SamplingExplorer:
    """What temperature and top-k do to the next token, and to what a model writes.

    ``top_k=None`` keeps all tokens. As the last expression of a cell it is shown: under
    a kernel as sliders that can be moved (``temperature``, ``top_k``, ``keep_all``,
    ``prompt``, ``seed``, ``write``), on a page as a picture of how it started. What it
    cannot do it says in ``message``. Raises ``ValueError`` for impossible settings.
    """

    def __init__(
        self,
        params,
        cfg,
        tok,
        prompt="",
        temperature=1.0,
        top_k=None,
        seed=0,
        *,
        rows=8,
        max_new_tokens=80,
    ):
        check_settings(temperature, top_k, None)
        if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**31:
            raise ValueError(f"seed must be a whole number from 0, not {seed!r}")
        if tok.vocab_size < cfg.vocab_size:
            raise ValueError(
                f"the tokenizer knows {tok.vocab_size} tokens and the model writes "
                f"{cfg.vocab_size}: they do not belong together"
            )
        if temperature > HOTTEST:
            raise ValueError(
                f"the temperature's slider ends at {HOTTEST:g}, before {temperature!r}"
            )
        self.params, self.cfg, self.tok = params, cfg, tok
        self.rows, self.max_new_tokens = rows, max_new_tokens
        self._logits = self._ids = None
        self._known = self._trouble = ""  # the last prompt read; why the next was not
        self._make_controls(prompt, temperature, top_k, seed)
        self._read()
        self._listen()

    def _make_controls(self, prompt, temperature, top_k, seed):
        V = self.cfg.vocab_size
        wide = {"description_width": "7.5em"}
        line = {"style": wide, "layout": widgets.Layout(width="min(34em, 98%)")}
        self.prompt = widgets.Text(
            prompt, description="prompt", continuous_update=False, **line
        )
        self.temperature = widgets.FloatSlider(
            temperature,
            min=0,
            max=HOTTEST,
            step=0.05,
            description="temperature",
            **line,
        )
        self.top_k = widgets.IntSlider(
            min(top_k or V, V),
            min=1,
            max=min(V, max(50, top_k or 1)),
            description="top-k",
            **line,
        )
        self.keep_all = widgets.Checkbox(
            top_k is None, description=f"keep all {V:,} tokens", style=wide
        )
        self.seed = widgets.BoundedIntText(
            seed, min=0, max=2**31 - 1, description="seed", style=wide
        )
        self.write = widgets.Button(description="write another")
        self.picture, self.text = widgets.HTML(), widgets.HTML()
        self.message = widgets.HTML()
        self.box = widgets.VBox(
            [
                self.prompt,
                self.temperature,
                self.top_k,
                self.keep_all,
                self.message,
                self.picture,
                widgets.HBox([self.seed, self.write]),
                self.text,
            ]
        )

    def _listen(self):
        self.prompt.observe(lambda _: self._read(), "value")
        self.top_k.observe(self._cut, "value")
        for control in (self.temperature, self.keep_all, self.seed):
            control.observe(lambda _: self._show(), "value")
        self.write.on_click(self._next)

    def _cut(self, _):
        """Moving top-k's slider means to cut, so "keep all" goes off."""
        if self.keep_all.value:
            self.keep_all.value = False  # this shows, too
        else:
            self._show()

    def _next(self, _):
        self.seed.value = (self.seed.value + 1) % self.seed.max

    @property
    def settings(self):
        """``temperature`` and ``top_k`` as `minigpt.generate` takes them."""
        k = None if self.keep_all.value else self.top_k.value
        return {"temperature": self.temperature.value, "top_k": k}

    def probabilities(self):  # -> (V,)
        """What is shown: the next token's probabilities at the sliders' settings."""
        if self.settings["temperature"] == 0:
            return np.eye(len(self._logits))[self._logits.argmax()]
        return distribution(self._logits[None], **self.settings)[0]

    def shown(self):
        """The bars: pairs of a token and its probability, all others as the last."""
        order = np.argsort(-self._logits, kind="stable")[: self.rows]
        p = self.probabilities()
        named = [(piece(self.tok.decode([int(i)])), float(p[i])) for i in order]
        rest = max(0.0, 1.0 - sum(share for _, share in named))
        return [*named, (f"{len(p) - len(order):,} others", rest)]

    def _read(self):
        """Ask the model about a new prompt."""
        try:
            ids = self.tok.encode(self.prompt.value)
            start = getattr(self.tok, "eot", None)
            ids = np.array(ids if start is None else [start, *ids], int)
            if not ids.size:
                raise ValueError("The prompt is empty: write a word.")
            check_ids(ids, self.cfg)
            window = ids[None, -self.cfg.n_ctx :]
            logits = gpt(self.params, window, self.cfg, last=True)[0, -1]
            if not np.isfinite(logits).all():
                raise ValueError("The model's logits are not finite: no sampling.")
        except ValueError as error:
            self._trouble = str(error)
        else:
            self._ids, self._logits = ids, logits
            self._known, self._trouble = self.prompt.value, ""
        self._show()

    def _show(self):
        """Draw the bars and write the text anew, for the last prompt that was read."""
        if self._logits is None:
            self._say(self._trouble, alarm=True)
            return
        self.picture.value = self._bars().html()
        self.text.value, length = self._continuation()
        if self._trouble:
            shown = f"What is shown still belongs to the prompt {self._known!r}."
            self._say(f"{self._trouble} {shown}", alarm=True)
        else:
            self._say(self._note(length))

    def _note(self, length):
        """What a reader may stumble over, for a text of `length` tokens."""
        n_ctx, lost = self.cfg.n_ctx, len(self._ids) - self.cfg.n_ctx
        if lost > 0:
            return f"The model sees the last {n_ctx} tokens only, {lost} are lost."
        if length - 1 > n_ctx:  # the last token is not read any more
            return (
                f"The text outgrew the model's {n_ctx} positions: at its end the model "
                "no longer saw the beginning."
            )
        if self.temperature.value == 0:
            return "At temperature 0 every seed writes the same."
        return ""

    def _bars(self):
        labels, values = zip(*self.shown(), strict=True)
        said = ", ".join(f"{a} {p:.3f}" for a, p in self.shown())
        alt = f"Probabilities of the next token: {said}."
        return bars(labels, values, alt, fmt="{:.3f}", mono=True, upper=1.0)

    def _continuation(self):
        """What the model writes at these settings, as HTML; how long the text is."""
        count = self.max_new_tokens
        end = getattr(self.tok, "eot", None)
        stop = () if end is None else (end,)
        out = generate(
            self.params,
            self._ids,
            self.cfg,
            count,
            seed=self.seed.value,
            stop=stop,
            **self.settings,
        )
        new = [int(i) for i in out[len(self._ids) :]]
        ended = bool(new) and new[-1] in stop
        told = escape(self.tok.decode(new[:-1] if ended else new))
        unit = "token" if count == 1 else "tokens"
        how = "" if ended else f" … (stopped after {count} {unit})"
        html = (
            f'<p aria-live="polite" style="line-height:1.5;max-width:40em;'
            f'white-space:pre-wrap">'
            f"{escape(self._known)}<b>{told}</b>{how}</p>"
        )
        return html, len(out)

    def _say(self, sentence, alarm=False):
        role = "alert" if alarm else "status"
        html = f'<p role="{role}" style="margin:0">{escape(sentence)}</p>'
        self.message.value = html if sentence else ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        view = self.box._repr_mimebundle_()[VIEW]
        words = f"Sliders for temperature and top-k. {self._describe()}"
        return {"text/plain": words, "text/html": still(self), VIEW: view}

    def _describe(self):
        return "" if self._logits is None else self._bars().alt

    def __repr__(self):
        return f"SamplingExplorer({self.prompt.value!r}, {self.settings})"
