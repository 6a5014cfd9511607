"""Where everything lies on the map of the model: across a wide page, down a narrow one.

Boxes are (x, y, width, height); lines are lists of points.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Places:
    """One layout of the map."""

    size: tuple[float, float]
    boxes: dict[str, tuple[float, float, float, float]]  # part -> its box
    labels: dict[str, tuple[float, float]]  # where the two large frames are named
    others: tuple  # (label, the part whose chapter builds it, box)
    sums: tuple  # the residual additions
    residual: tuple  # lines of the residual stream
    arrows: tuple  # all other lines
    words: tuple  # (point, words, angle) beside the lines
    note: tuple[float, float]  # where "You are here" is written

    def pin(self, part: str) -> tuple[float, float]:
        """Where a pin on `part` points: just inside its upper right corner."""
        x, y, w, _ = self.boxes[part]
        return x + w - 9, y + 5


ACROSS = Places(
    size=(760, 326),
    boxes={
        "what-is-a-gpt": (132, 30, 518, 148),
        "blocks": (230, 52, 322, 116),
        "tokenizer": (36, 92, 76, 44),
        "embeddings": (141, 92, 80, 44),
        "attention": (300, 84, 96, 74),
        "multi-head": (308, 106, 80, 20),
        "causal-mask": (308, 131, 80, 20),
        "generation": (686, 92, 72, 44),
        "serving": (686, 154, 72, 38),
        "training-loss": (620, 208, 96, 38),
        "backpropagation": (474, 208, 116, 38),
        "training": (344, 208, 100, 38),
        "gpt2": (214, 208, 100, 38),
        "fine-tuning": (84, 208, 100, 38),
        "looking-inside": (214, 264, 100, 38),
    },
    labels={"what-is-a-gpt": (140, 41), "blocks": (238, 63)},
    others=(
        ("norm", "blocks", (252, 98, 36, 32)),
        ("norm", "blocks", (430, 98, 36, 32)),
        ("MLP", "blocks", (478, 98, 36, 32)),
        ("unembedding", "embeddings", (564, 92, 78, 44)),
    ),
    sums=((412, 114), (532, 114)),
    residual=(
        [(241, 114), (241, 74), (412, 74), (412, 106)],
        [(424, 114), (424, 74), (532, 74), (532, 106)],
    ),
    arrows=(
        [(27, 114), (36, 114)],
        [(112, 114), (141, 114)],
        [(221, 114), (252, 114)],
        [(288, 114), (300, 114)],
        [(396, 114), (405, 114)],
        [(419, 114), (430, 114)],
        [(466, 114), (478, 114)],
        [(514, 114), (525, 114)],
        [(539, 114), (564, 114)],
        [(642, 114), (686, 114)],
        [(722, 136), (722, 154)],
        [(722, 92), (722, 18), (14, 18), (14, 105)],
        [(668, 114), (668, 208)],
        [(620, 227), (590, 227)],
        [(474, 227), (444, 227)],
        [(344, 227), (314, 227)],
        [(214, 227), (184, 227)],
        [(264, 208), (264, 178)],
        [(264, 246), (264, 264)],
    ),
    words=(
        ((14, 114), "text", 0),
        ((121, 104), "ids", 0),
        ((668, 104), "logits", 0),
        ((390, 9), "the new token joins the text", 0),
        ((44, 227), "learning", 0),
    ),
    note=(2, 314),
)

DOWN = Places(
    size=(340, 562),
    boxes={
        "what-is-a-gpt": (20, 76, 198, 342),
        "blocks": (30, 146, 178, 222),
        "tokenizer": (66, 28, 100, 34),
        "embeddings": (66, 98, 100, 34),
        "attention": (46, 196, 148, 62),
        "multi-head": (53, 220, 54, 30),
        "causal-mask": (113, 220, 74, 30),
        "generation": (66, 446, 100, 34),
        "serving": (66, 498, 100, 34),
        "training-loss": (238, 446, 100, 34),
        "backpropagation": (238, 376, 100, 34),
        "training": (238, 306, 100, 34),
        "gpt2": (238, 236, 100, 34),
        "fine-tuning": (238, 166, 100, 34),
        "looking-inside": (238, 88, 100, 34),
    },
    labels={"what-is-a-gpt": (27, 87), "blocks": (150, 158)},
    others=(
        ("norm", "blocks", (90, 166, 52, 20)),
        ("norm", "blocks", (90, 292, 52, 20)),
        ("MLP", "blocks", (90, 322, 52, 20)),
        ("unembedding", "embeddings", (66, 378, 100, 32)),
    ),
    sums=((116, 274), (116, 355)),
    residual=(
        [(116, 156), (38, 156), (38, 274), (108, 274)],
        [(116, 286), (70, 286), (70, 355), (108, 355)],
    ),
    arrows=(
        [(116, 19), (116, 28)],
        [(116, 62), (116, 98)],
        [(116, 132), (116, 166)],
        [(116, 186), (116, 196)],
        [(116, 258), (116, 267)],
        [(116, 281), (116, 292)],
        [(116, 312), (116, 322)],
        [(116, 342), (116, 348)],
        [(116, 362), (116, 378)],
        [(116, 410), (116, 446)],
        [(116, 480), (116, 498)],
        [(66, 463), (6, 463), (6, 11), (100, 11)],
        [(116, 430), (227, 430), (227, 463), (238, 463)],
        [(288, 446), (288, 410)],
        [(288, 376), (288, 340)],
        [(288, 306), (288, 270)],
        [(288, 236), (288, 200)],
        [(238, 253), (218, 253)],
        [(218, 105), (238, 105)],
    ),
    words=(
        ((116, 11), "text", 0),
        ((130, 69), "ids", 0),
        ((140, 422), "logits", 0),
        ((14, 248), "the new token joins the text", -90),
        ((288, 152), "learning", 0),
    ),
    note=(2, 550),
)
