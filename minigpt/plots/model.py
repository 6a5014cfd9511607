"""The recurring map: a whole GPT from text to text, with "you are here" on one part.

It is drawn twice, across for wide pages and downwards for narrow ones, from one list of
parts and two tables of places. A box leads to its chapter where that page exists.
"""

from minigpt.plots.paint import png
from minigpt.plots.picture import Picture, described
from minigpt.plots.places import ACROSS, DOWN, Places
from minigpt.plots.scene import Scene

# part -> what its box says, and the small words below
PARTS = {
    "what-is-a-gpt": ("gpt(ids) → logits", ""),
    "blocks": ("block × N", ""),
    "tokenizer": ("tokenizer", "text to ids"),
    "embeddings": ("embeddings", "token + position"),
    "attention": ("attention", ""),
    "multi-head": ("heads", ""),
    "causal-mask": ("causal mask", ""),
    "generation": ("sampling", "one new token"),
    "serving": ("serving", "for many"),
    "training-loss": ("loss", "surprise"),
    "backpropagation": ("backpropagation", "gradients"),
    "training": ("training", "AdamW"),
    "gpt2": ("weights", "ours, or GPT-2’s"),
    "fine-tuning": ("fine-tuning", "a new task"),
    "looking-inside": ("looking inside", "what is it for?"),
}

# The pages that exist, by part; a part that is not here is drawn without a link.
CHAPTERS = {
    "what-is-a-gpt": "00-what-is-a-gpt.html",
    "tokenizer": "01-tokenizer.html",
    "embeddings": "02-embeddings.html",
    "attention": "03-attention.html",
    "causal-mask": "04-causal-mask.html",
    "multi-head": "05-multi-head.html",
    "blocks": "06-blocks.html",
    "generation": "07-generation.html",
    "training-loss": "08-training-loss.html",
    "backpropagation": "09-backpropagation.html",
    "training": "10-training.html",
    "fine-tuning": "11-fine-tuning.html",
    "gpt2": "12-gpt2.html",
    "looking-inside": "13-looking-inside.html",
    "serving": "14-serving.html",
}

TITLES = {
    "what-is-a-gpt": "what is a GPT?",
    "gpt2": "GPT-2 itself",
    "causal-mask": "causal mask",
    "training-loss": "training loss",
    "looking-inside": "looking inside",
}
FRAMES = ("what-is-a-gpt", "blocks", "attention")  # others lie inside these
CHIPS = ("multi-head", "causal-mask")


def model_map(here: str | None = None, *, alt: str = "", caption: str = "") -> Picture:
    """The map of the model with the part `here` marked; None marks nothing.

    `here` is a key of `PARTS`, which are named like the chapters. `alt` may replace the
    description that is made from it. Raises `ValueError` for a part that is not there.
    """
    if here is not None and here not in PARTS:
        raise ValueError(
            f"here={here!r} is no part of the map: one of {', '.join(PARTS)}"
        )
    words = described(alt or _alt(here))
    wide, narrow = _draw(ACROSS, here), _draw(DOWN, here)
    wide.css_class, narrow.css_class = "mg-wide", "mg-narrow"
    drawings = ((wide, words), (narrow, words))
    return Picture(drawings, words, caption, "group", lambda: png([wide]))


def _alt(here: str | None) -> str:
    whole = (
        "Map of a GPT: text, tokenizer, ids, embeddings, N blocks of attention and MLP "
        "with residual connections, unembedding, logits, sampling, and the new token "
        "joins the text; below, learning: loss, backpropagation, training, weights, "
        "fine-tuning; and looking inside the blocks."
    )
    return f"{whole} You are here: {TITLES.get(here, here)}." if here else whole


def _draw(places: Places, here: str | None) -> Scene:
    scene = Scene(*places.size, scale=1.2)
    for part in FRAMES[:2]:
        _box(scene, part, places, here)
    for points in places.residual:
        scene.arrow(points, r=8, head=4.5, stroke="grey", width=1.4)
    for points in places.arrows:
        scene.arrow(points, r=8, head=4.5, width=1.1, opacity=0.75)
    for (x, y), words, angle in places.words:
        scene.text(x, y, words, 10, angle, anchor="middle", opacity=0.85)
    for label, part, box in places.others:
        with scene.link(CHAPTERS.get(part)):
            _plain(scene, box, part in CHAPTERS)
            x, y, w, h = box
            scene.text(x + w / 2, y + h / 2, label, 10.5, anchor="middle")
    for x, y in places.sums:
        scene.dot(x, y, 7, fill="none", stroke="ink", width=1.1)
        cross = ("M", x - 4, y), ("L", x + 4, y), ("M", x, y - 4), ("L", x, y + 4)
        scene.path(*cross, stroke="ink", width=1.1)
    for part in PARTS:
        if part not in FRAMES[:2]:
            _box(scene, part, places, here)
    if here:
        _pin(scene, *places.pin(here))
        x, y = places.note
        _pin(scene, x + 6, y + 6)
        words = f"You are here: {TITLES.get(here, here)}"
        scene.text(x + 17, y, words, 11.5, weight="bold")
    else:
        scene.height -= 24
    return scene


def _plain(scene: Scene, box, linked: bool, r: float = 4.0) -> None:
    look = (
        {"stroke": "blue", "width": 1.4} if linked else {"stroke": "ink", "faint": 0.45}
    )
    scene.rect(*box, r, fill="ink", tint=0.045, **look)


def _box(scene: Scene, part: str, places: Places, here: str | None) -> None:
    """One part: a frame, a chip or a box with its label, marked when it is `here`."""
    x, y, w, h = places.boxes[part]
    label, small = PARTS[part]
    weight = "bold" if part == here else ""
    with scene.link(CHAPTERS.get(part)):
        if part == here:
            tint = 0.1 if part in FRAMES else 0.22
            scene.rect(
                x, y, w, h, 6, fill="orange", tint=tint, stroke="orange", width=2.6
            )
        elif part == "what-is-a-gpt":
            edge = "blue" if part in CHAPTERS else "ink"
            scene.rect(x, y, w, h, 8, fill="none", stroke=edge, faint=0.7, dash="5 4")
        else:
            _plain(scene, (x, y, w, h), part in CHAPTERS, 6 if part in FRAMES else 4)
        if part in FRAMES[:2]:
            scene.text(*places.labels[part], label, 10.5, weight=weight)
        elif part in FRAMES:
            scene.text(x + w / 2, y + 12, label, 11.5, anchor="middle", weight=weight)
        else:
            size = 10 if part in CHIPS else 11.5
            up = 6.5 if small else 0
            scene.text(
                x + w / 2, y + h / 2 - up, label, size, anchor="middle", weight=weight
            )
            if small:
                scene.text(
                    x + w / 2, y + h / 2 + 8, small, 9, anchor="middle", opacity=0.85
                )


def _pin(scene: Scene, x: float, y: float) -> None:
    """A map's pin whose point stands at (x, y)."""
    head = ("C", x - 9, y - 9, x - 5, y - 16, x, y - 16)
    back = ("C", x + 5, y - 16, x + 9, y - 9, x, y)
    scene.path(("M", x, y), head, back, ("Z",), fill="orange")
    scene.dot(x, y - 10.5, 2.2, fill="white")
