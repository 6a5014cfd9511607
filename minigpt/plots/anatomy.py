"""The architecture as a picture, made from a model's own arrays."""

from itertools import groupby

from minigpt import tree
from minigpt.plots.picture import Picture, picture
from minigpt.plots.scene import Scene

WIDTH, LINE, STREAM = 400, 25, 14  # and where the residual stream runs down
LEFT, BARS = 44, 322  # the boxes; the bars of the counts
NOTES = {
    "wte": ("token table", "green"),
    "wpe": ("position table", "green"),
    "ln_1": ("layer norm", "grey"),
    "attn.c_attn": ("queries, keys, values", "blue"),
    "attn.c_proj": ("heads’ results, mixed", "blue"),
    "ln_2": ("layer norm", "grey"),
    "mlp.c_fc": ("wider, then GELU", "orange"),
    "mlp.c_proj": ("narrow again", "orange"),
    "ln_f": ("layer norm", "grey"),
    "lm_head": ("output table", "green"),
}
READS, WRITES = ("ln_1", "ln_2"), ("attn.c_proj", "mlp.c_proj")


def anatomy(params, cfg, alt: str) -> Picture:
    """A model's matrices from ids to logits, with their shapes and numbers.

    Boxes and counts are read off the arrays of ``params``; blocks of equal shapes are
    drawn once. The grey line is the residual stream, bars show shares of all numbers.
    """
    modules = _modules(params)
    blocks = [_modules(block) for block in params["h"]]
    runs = [(block, len(list(same))) for block, same in groupby(blocks)]
    rows = len(modules) + sum(len(block) + 1 for block, _ in runs) + 4
    scene = Scene(WIDTH, LINE * rows + 12 * len(runs) + 6, scale=1.4)
    pen = _Pen(scene, tree.size(params))
    pen.label("ids  (B, T)", LEFT)
    for name in ("wte", "wpe"):
        pen.module(name, *modules.pop(name))
    start = pen.plus(f"one vector of C = {cfg.n_embd:,} for each token")
    first = 0
    for block, times in runs:
        pen.block(block, times, first, cfg)
        first += times
    pen.stream(start)
    tied = "lm_head" not in modules
    for name, found in modules.items():
        pen.module(name, *found)
    if tied:
        pen.label("wte again, transposed: the output is tied to it", LEFT + 8)
    pen.end()
    return picture(scene, alt)


def _modules(branch) -> dict:
    """Module -> (the shape of its weight, how many numbers it has)."""
    found = {}
    for name, a in tree.flatten({k: v for k, v in branch.items() if k != "h"}).items():
        module, leaf = name.rsplit(".", 1)
        shape, count = found.get(module, ((), 0))
        found[module] = (a.shape if leaf == "weight" else shape, count + a.size)
    return found


class _Pen:
    """Draws line after line downwards, beside the residual stream."""

    def __init__(self, scene: Scene, total: int):
        self.scene, self.total, self.y = scene, total, 0.0

    def label(self, words: str, x: float) -> None:
        self.scene.text(x, self.y + LINE / 2, words, 11, opacity=0.9)
        self.y += LINE

    def plus(self, words: str = "") -> float:
        """A sum on the stream; returns its height."""
        middle = self.y + LINE / 2
        self.scene.dot(STREAM, middle, 6.5, fill="none", stroke="ink", width=1.2)
        cross = ("M", STREAM - 4, middle), ("L", STREAM + 4, middle)
        cross += ("M", STREAM, middle - 4), ("L", STREAM, middle + 4)
        self.scene.path(*cross, stroke="ink", width=1.2)
        if words:
            self.scene.text(LEFT, middle, words, 11, opacity=0.9)
            self.y += LINE
        return middle

    def module(self, name: str, shape, count: int, times: int = 1) -> None:
        """One matrix or norm: what it is called, what it is, its shape, its share."""
        note, colour = NOTES.get(name, ("", "purple"))
        top, middle = self.y + 2.5, self.y + LINE / 2
        self.scene.rect(LEFT, top, 270, LINE - 5, 4, fill=colour, tint=0.13)
        self.scene.rect(LEFT, top, 4, LINE - 5, 2, fill=colour)
        self.scene.text(LEFT + 10, middle, name, 10.5, mono=True)
        self.scene.text(LEFT + 92, middle, note, 10.5)
        size = " × ".join(f"{n:,}" for n in shape)
        self.scene.text(LEFT + 264, middle, size, 10.5, anchor="end")
        share = times * count / self.total
        self.scene.rect(BARS, middle - 5, max(76 * share, 0.6), 10, 2, fill=colour)
        words = f"{share:.0%}" if share >= 0.005 else ""
        self.scene.text(BARS + 76 * share + 4, middle, words, 9.5)
        self.y += LINE

    def block(self, block: dict, times: int, first: int, cfg) -> None:
        """The blocks of one shape: frame, modules, reads and writes of the stream."""
        self.y += 6
        high = LINE * (len(block) + 1) + 4
        self.scene.rect(30, self.y, WIDTH - 31, high, 7, fill="ink", tint=0.045)
        last = first + times - 1
        which = f"h.{first}" if times == 1 else f"h.{first} to h.{last}, {times} alike"
        numbers = sum(count for _, count in block.values())
        words = f"{which}: {numbers:,} numbers each" if times > 1 else which
        heads = f"{cfg.n_head} heads of {cfg.n_embd // cfg.n_head}"
        middle = self.y + LINE / 2 + 1
        self.scene.text(LEFT, middle, words, 11, weight="bold")
        self.scene.text(WIDTH - 8, middle, heads, 10.5, anchor="end")
        self.y += LINE + 1
        for name, (shape, count) in block.items():
            at = self.y + LINE / 2
            if name in READS:
                self.scene.arrow([(STREAM, at), (LEFT, at)], stroke="grey", width=1.6)
            self.module(name, shape, count, times)
            if name in WRITES:
                self.y -= LINE
                self.plus()
                ends = [(LEFT, at), (STREAM + 7, at)]
                self.scene.arrow(ends, stroke="grey", width=1.6)
                self.y += LINE
        self.y += 9

    def end(self) -> None:
        """The logits, and the sum of all numbers."""
        middle = self.y + LINE / 2
        self.label("logits  (B, T, V)", LEFT)
        total = f"{self.total:,} numbers"
        self.scene.text(WIDTH - 2, middle, total, 11, weight="bold", anchor="end")
        self.scene.height = self.y + 2

    def stream(self, start: float) -> None:
        """The residual stream, from the first sum to what reads it last."""
        end = self.y + LINE / 2
        points = [(STREAM, start + 7), (STREAM, end), (LEFT, end)]
        look = {"stroke": "grey", "width": 3, "opacity": 0.55}
        self.scene.arrow(points, r=7, head=7, **look)
