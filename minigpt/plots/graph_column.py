"""One column of the picture of a graph: boxes, the lines between them, their shapes."""

from minigpt.plots.scene import Scene, text_width

PITCH, GAP, EDGE = 96, 18, 5  # between lanes, between rows, round the whole
HEAD = 9  # above the first row of a second column
SIZE, SMALL = 11, 9.5  # of texts
PRODUCTS = ("MatMul", "Gemm")
MOVES = ("Slice", "Reshape", "Transpose", "Concat", "Gather", "Squeeze", "Unsqueeze")
LOOKS = {
    "product": {"fill": "blue", "tint": 0.24, "stroke": "blue", "width": 1.3},
    "move": {"fill": "grey", "tint": 0.13, "stroke": "grey", "faint": 0.6},
    "other": {"fill": "orange", "tint": 0.1, "stroke": "orange", "faint": 0.9},
    "fold": {"fill": "ink", "tint": 0.04, "stroke": "ink", "dash": "4 3"},
    "given": {"fill": "none", "stroke": "ink", "faint": 0.8},
}
ARROW = {"head": 4.5, "width": 1.1, "opacity": 0.75}


class Column:
    """Some items of a layout, drawn round the middle of lane 0."""

    def __init__(self, file, layout, part):
        self.file, self.layout, self.part = file, layout, part
        self.scene = Scene(0, 0)
        rows = {}
        for item in part:
            rows.setdefault(item.row, []).append(item)
        self.y, y = {}, 0.0 if min(rows) == 0 else HEAD + GAP
        for row, here in sorted(rows.items()):
            high = max(map(height, here))
            self.y[row] = y + high / 2
            bends = any(
                s.lane != item.lane
                for item in rows.get(row + 1, ())
                for s in layout.before[item]
            )
            y += high + GAP + 6 * bends
        self.height = y
        for item in part:
            self.arrows(item)
        for item in part:
            self.box(item)
            self.results(item)
        if inside := [item for item in part if item.inside]:
            self.frame(inside)

    def middle(self, item):
        """Where the middle of an item is."""
        return item.lane * PITCH, self.y[item.row]

    def foot(self, item):
        """Where an item ends; the column's head for what stands in an earlier one."""
        return self.y[item.row] + height(item) / 2 if item.row in self.y else HEAD

    def bounds(self):
        """The leftmost and the rightmost point."""
        points = [x for mark in self.scene.marks for x in extent(mark)]
        return min(points), max(points)

    def frame(self, inside):
        """A ground behind the nodes of the block that is shown, with its name."""
        left, right = self.bounds()
        top = min(self.y[i.row] - height(i) / 2 for i in inside) - 7
        low = max(map(self.foot, inside)) + 12
        ground = Scene(0, 0)
        ground.rect(
            left - 5, top, right - left + 10, low - top, 6, fill="ink", tint=0.05
        )
        block = ".".join(inside[0].name.split(".")[:2])
        ground.text(right - 4, low - 10, block, SIZE, anchor="end", weight="bold")
        self.scene.marks = ground.marks + self.scene.marks

    def arrows(self, item):
        """The lines to an item, from what it reads."""
        x1, y = self.middle(item)
        top = y - height(item) / 2
        for source in self.layout.before[item]:
            x0, y0 = source.lane * PITCH, self.foot(source)
            side = self.side(source, item)
            if side is not None:
                bend = y0 + 6
                points = [
                    (x0, bend),
                    (side, bend),
                    (side, y),
                    (x1 - width(item) / 2, y),
                ]
                self.scene.arrow(points, 7, 4.5, stroke="grey", width=1.5)
            elif x0 == x1:
                self.scene.arrow([(x0, y0), (x1, top)], **ARROW)
            else:
                port = x1 + (9 if x0 > x1 else -9)
                points = [(x0, y0), (x0, top - 9), (port, top - 9), (port, top)]
                self.scene.arrow(points, r=4, **ARROW)
        if names := self.layout.named(item):
            self.tag(item, [*dict.fromkeys(map(spoken, names))])

    def side(self, source, item):
        """The x of a line that passes by what stands between, or None for a line in
        the source's own lane."""
        between = [i for i in self.part if source.row < i.row < item.row]
        if not any(abs(i.lane - source.lane) < 0.7 for i in between):
            return None
        return min(i.lane * PITCH - width(i) / 2 for i in between) - 13

    def tag(self, item, names):
        """Names beside an item, of what it reads and no arrow brings."""
        x, y = self.middle(item)
        sign = 1 if item.lane > 0 else -1
        edge = x + sign * width(item) / 2
        self.chip(edge + sign * 13, y, names, sign)
        self.scene.arrow([(edge + sign * 13, y), (edge, y)], **ARROW)

    def chip(self, x, y, lines, sign):
        """Some words in a frame that begins at x, and goes to the right or the left."""
        wide = max(text_width(words, SMALL) for words in lines) + 9
        high = 11 * len(lines) + 3
        left = x if sign > 0 else x - wide
        self.scene.rect(left, y - high / 2, wide, high, 6, **LOOKS["given"])
        for k, words in enumerate(lines):
            line = y + 11 * (k - (len(lines) - 1) / 2)
            self.scene.text(left + wide / 2, line, words, SMALL, anchor="middle")

    def box(self, item):
        """An item itself, and its weights."""
        x, y = self.middle(item)
        wide, high = width(item), height(item)
        corner = 10 if item.kind in ("input", "output") else 4
        look = LOOKS[kind(item)]
        self.scene.rect(
            x - wide / 2, y - high / 2, wide, high, corner, item.tip, **look
        )
        for k, words in enumerate(item.words):
            line = y + 12 * (k - (len(item.words) - 1) / 2)
            size = SIZE if k == 0 else SMALL
            self.scene.text(x, line, words, size, anchor="middle")
        self.weights(item, x, y, -1 if self.crowded(item) else 1)

    def weights(self, item, x, y, sign):
        """Squares beside an item, with the names and shapes of what it reads."""
        lines = [(short(name), shape) for name, shape in item.weights]
        if len(lines) > 1 or item.lane == 0:  # where there is room
            lines = [(f"{name} {shape}",) for name, shape in lines]
        x += sign * (width(item) / 2 + 6)
        anchor = {"anchor": "start" if sign > 0 else "end"}
        for k, words in enumerate(lines):
            line = y + 11 * (k - (len(lines) - 1) / 2)
            self.scene.rect(x + (sign - 1) * 3.5, line - 3.5, 7, 7, fill="green")
            for j, part in enumerate(words):
                place = line + 11 * (j - (len(words) - 1) / 2)
                self.scene.text(x + sign * 11, place, part, SMALL, **anchor)

    def results(self, item):
        """The shapes of what an item makes: below it, with a name if there is one, or
        beside it where it is named further down."""
        x, y = self.middle(item)
        readers = [i for i in self.layout.after[item] if i.kind != "output"]
        below = {name for reader in readers for name in reader.reads}
        branch = any(self.side(item, i) is not None for i in self.layout.after[item])
        free = not branch and self.row(item)[0] is item
        for name in item.makes if item.kind != "input" else ():
            shape = self.file.shapes[name]
            if name in below:
                named = item.kind != "node" or name != item.name
                words = [short(name)] * named + [shape]
                line = self.foot(item) + 6
                if self.crowded(item):
                    self.words(x - 5, line, " ".join(words), "end")
                elif free and named:
                    self.words(x - 5, line, words[0], "end")
                    self.words(x + 5, line, shape)
                else:
                    self.words(x + 5, line, " ".join(words))
            elif item.kind == "fold":
                edge = x + width(item) / 2
                self.scene.arrow([(edge, y), (edge + 13, y)], **ARROW)
                self.chip(edge + 13, y, [spoken(name), shape], 1)

    def words(self, x, y, words, anchor="start"):
        self.scene.text(x, y, words, SMALL, anchor=anchor, opacity=0.9)

    def row(self, item):
        """The items of the same row, from left to right."""
        row = [i for i in self.part if i.row == item.row]
        return sorted(row, key=lambda i: i.lane)

    def crowded(self, item):
        """Whether a box to the right wants the room for words beside an item."""
        row = [i for i in self.row(item) if i.lane > item.lane]
        return any(i.weights or height(i) > height(item) for i in (item, *row) if row)


def kind(item):
    """How an item looks, a key of `LOOKS`."""
    if item.kind != "node":
        return "given" if item.kind in ("input", "output") else "fold"
    moves = "move" if item.op in MOVES else "other"
    return "product" if item.op in PRODUCTS else moves


def width(item):
    sizes = (SIZE, SMALL, SMALL)
    wide = max(text_width(w, s) for w, s in zip(item.words, sizes, strict=False))
    return wide + 16


def height(item):
    return 20 if len(item.words) == 1 else 31


def short(name):
    """A value's name within its block: "h.0.attn.c_attn.weight" is "c_attn.weight"."""
    parts = name.split(".")
    if parts[-1] in ("weight", "bias") or parts[0] == "past_key_values":
        return ".".join(parts[-2:])
    return parts[-1] if len(parts) > 2 else name


def spoken(name):
    """The name of what many blocks read, without the block: "past key"."""
    first, *rest = name.split(".")
    return " ".join([first.removesuffix("_key_values"), *rest[1:]])


def extent(mark):
    """The left and right ends of a mark."""
    if mark.kind == "rect":
        return mark.points[0], mark.points[0] + mark.points[2]
    if mark.kind == "path":
        across = [x for _, *where in mark.points for x in where[::2]]
        return min(across), max(across)
    x, _, size, _ = mark.points
    wide = text_width(mark.text, size)
    at = {"start": 0.0, "middle": 0.5, "end": 1.0}[mark.style.get("anchor", "start")]
    return x - at * wide, x + (1 - at) * wide
