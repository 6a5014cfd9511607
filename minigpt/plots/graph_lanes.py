"""Where the items of a graph stand: in rows from top to bottom, and in lanes.

An item stands below all that it reads, in the same lane. Those of one row stand side
by side, and where ways meet again the lane is the one from which they parted.
"""

from collections import defaultdict
from itertools import pairwise


class Layout:
    """The rows and lanes of items, and the edges between them."""

    def __init__(self, items):
        self.items = items
        self.maker = {name: item for item in items for name in item.makes}
        self.before, self.after = {}, defaultdict(list)
        for item in items:
            names = [n for n in item.reads if self.is_edge(n, item)]
            self.before[item] = [*dict.fromkeys(self.maker[n] for n in names)]
            for other in self.before[item]:
                self.after[other].append(item)
        self._rows()
        self._lanes()

    def is_edge(self, name, item):
        """Whether an arrow leads to an item; what many blocks read is named instead."""
        maker = self.maker.get(name)
        far = maker is not None and maker.kind in ("fold", "input") and not item.front
        return maker is not None and not far

    def named(self, item):
        """What an item reads without an arrow."""
        return [name for name in item.reads if not self.is_edge(name, item)]

    def _rows(self):
        """An item's row follows its last source. What reads weights alone comes late:
        just above whoever reads it, on a row of its own."""
        for item in self.items:
            sources = self.before[item]
            for late in (s for s in sources if self.is_late(s)):
                late.row = 1 + max((s.row for s in sources if s is not late), default=0)
            item.row = 1 + max((s.row for s in sources), default=-1)

    def is_late(self, item):
        return not item.front and not self.before[item]

    def _lanes(self):
        parted = {}  # an item -> where all ways to it come from
        rows = defaultdict(list)
        for item in self.items:
            rows[item.row].append(item)
        for _, row in sorted(rows.items()):
            for item in row:
                self._lane(item, parted)
            if len(row) > 1:
                spread(row)

    def _lane(self, item, parted):
        sources = [s for s in self.before[item] if not self.is_late(s)]
        parted[item] = self._parting(sources, parted)
        if parted[item] is not None:
            item.lane = parted[item].lane
        elif sources:
            item.lane = sum(s.lane for s in sources) / len(sources)
        elif self.is_late(item):
            item.lane = 0.75 + self._main(item).lane

    def _main(self, item):
        """The other source of what reads an item."""
        others = self.before[self.after[item][0]]
        return next((s for s in others if s is not item), item)

    def _parting(self, sources, parted):
        """The last item that is on every way to some items; None where none is."""
        if not sources:
            return None
        common, *others = sources
        for other in others:
            while common is not other:
                if common is None or other is None:
                    return None
                if common.row > other.row:
                    common = parted[common]
                else:
                    other = parted[other]
        return common

    def half(self):
        """Where the graph is cut best: a row in the middle, after which one item only
        is read again, and that item."""
        last = max(item.row for item in self.items)
        return min(self.narrow(last), key=lambda cut: abs(2 * cut[0] + 1 - last))

    def narrow(self, last):
        """The rows after which only one item is read again, and that item."""
        for row in range(last):
            crossing = {
                s
                for item in self.items
                if item.row > row
                for s in self.before[item]
                if s.row <= row
            }
            if len(crossing) == 1:
                yield row, crossing.pop()


def spread(row):
    """Move the items of a row apart, so that none covers another."""
    row.sort(key=lambda item: item.lane)
    if len({item.lane for item in row}) == 1:
        for k, item in enumerate(row):
            item.lane += k - (len(row) - 1) / 2
    for left, right in pairwise(row):
        right.lane = max(right.lane, left.lane + 1.0)
