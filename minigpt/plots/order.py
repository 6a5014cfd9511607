"""The book's second map: which chapter needs which, as a picture with links."""

from minigpt.plots.paint import png
from minigpt.plots.picture import Picture, described
from minigpt.plots.scene import Scene

# chapter -> column, row, and what its box says
PLACES = {
    "00-what-is-a-gpt": (1, 0, "0  What is a GPT?"),
    "01-tokenizer": (1, 1, "1  Tokenizer"),
    "02-embeddings": (0, 2, "2  Embeddings"),
    "03-attention": (1, 2, "3  Attention"),
    "04-causal-mask": (1, 3, "4  Causal mask"),
    "08-training-loss": (2, 3, "8  Training loss"),
    "05-multi-head": (1, 4, "5  Many heads"),
    "06-blocks": (1, 5, "6  Blocks"),
    "07-generation": (0, 6, "7  Generation"),
    "09-backpropagation": (2, 6, "9  Backpropagation"),
    "10-training": (2, 7, "10  Training"),
    "11-fine-tuning": (2, 8, "11  Fine-tuning"),
    "12-gpt2": (0, 7, "12  GPT-2 itself"),
    "13-looking-inside": (1, 8, "13  Looking inside"),
    "14-serving": (0, 8, "14  Serving"),
}
# chapter -> those that it builds on
NEEDS = {
    "01-tokenizer": ["00-what-is-a-gpt"],
    "02-embeddings": ["01-tokenizer"],
    "03-attention": ["01-tokenizer"],
    "04-causal-mask": ["03-attention"],
    "08-training-loss": ["03-attention"],
    "05-multi-head": ["04-causal-mask"],
    "06-blocks": ["02-embeddings", "05-multi-head"],
    "07-generation": ["06-blocks"],
    "09-backpropagation": ["06-blocks", "08-training-loss"],
    "10-training": ["09-backpropagation"],
    "11-fine-tuning": ["10-training"],
    "12-gpt2": ["07-generation"],
    "13-looking-inside": ["06-blocks"],
    "14-serving": ["12-gpt2"],
}
WIDE, HIGH, STEP_X, STEP_Y, EDGE = 116, 32, 126, 52, 4


def chapter_map(alt: str) -> Picture:
    """The chapters as boxes that lead to their pages, arrows from what each needs."""
    words = described(alt)
    right, low = (max(place[i] for place in PLACES.values()) for i in (0, 1))
    size = right * STEP_X + WIDE + 2 * EDGE, low * STEP_Y + HIGH + 2 * EDGE
    scene = Scene(*size, scale=1.4)
    for chapter, needs in NEEDS.items():
        for need in needs:
            scene.arrow(_way(need, chapter), r=8, head=5, width=1.1, opacity=0.75)
    for chapter, (_column, _row, label) in PLACES.items():
        x, y = _corner(chapter)
        with scene.link(f"{chapter}.html"):
            look = {"fill": "ink", "tint": 0.045, "stroke": "blue", "width": 1.4}
            scene.rect(x, y, WIDE, HIGH, 5, **look)
            scene.text(x + WIDE / 2, y + HIGH / 2, label, 11.5, anchor="middle")
    return Picture(((scene, words),), words, "", "group", lambda: png([scene]))


def _corner(chapter):
    column, row, _label = PLACES[chapter]
    return EDGE + column * STEP_X, EDGE + row * STEP_Y


def _way(start, end):
    """The corners of the arrow from the foot of one box to the head of another."""
    (x0, y0), (x1, y1) = _corner(start), _corner(end)
    foot, head = (x0 + WIDE / 2, y0 + HIGH), (x1 + WIDE / 2, y1)
    if x0 == x1:
        return [foot, head]
    turn = head[1] - (STEP_Y - HIGH) / 2
    return [foot, (foot[0], turn), (head[0], turn), head]
