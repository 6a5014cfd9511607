"""Rows of a batch that come and go: texts decoded together, with keys and values.

A `Group` keeps the ends of its texts side by side, so that one call of the model adds a
position to all. Shorter texts begin with padding, to which nothing attends but which is
computed: `partition` says which lengths are worth keeping together. Chapter: serving.
"""

import numpy as np

from minigpt.attention import Cache
from minigpt.generate import PIECE, align
from minigpt.model import new_caches

LEAST = 16  # positions that arrays have room for
PAYS = 16  # steps within which moving rows into other groups must have paid


class Group:
    """Texts that are decoded together.

    ``rows`` are the texts' owners, any objects; ``caches`` (a `Cache` a block) hold
    their keys and values, (B, H, S, D), with the ends side by side. The arrays may have
    room for more rows and positions than are in use.
    """

    def __init__(self, cfg, rows, caches):
        self.cfg, self.rows, self.caches = cfg, list(rows), caches

    @property
    def width(self):
        """Positions of the longest row."""
        return self.caches[0].length

    @property
    def padding(self):  # (B,)
        """How many positions of filling each row begins with."""
        padding = self.caches[0].padding
        return np.zeros(len(self.rows), np.int64) if padding is None else padding

    @property
    def lengths(self):  # (B,)
        """How many positions of each row are in the caches."""
        return self.width - self.padding

    def decode(self, model, ids):  # (B,) -> (B, V)
        """Add one position to every row; returns the logits after it."""
        if self.width == self.caches[0].capacity:
            self._fit(len(self.rows), self.width)
        ids = np.asarray(ids, np.int64)[:, None]
        return model(ids, self.cfg, caches=self.caches, last=True)[:, -1]

    def add(self, other):
        """Take in the rows of another group."""
        count, width = len(self.rows), max(self.width, other.width)
        first = width - other.width
        padding = [self.padding + (width - self.width), other.padding + first]
        self._fit(count + len(other.rows), width)
        for cache, more in zip(self.caches, other.caches, strict=True):
            for array, new in ((cache.keys, more.keys), (cache.values, more.values)):
                array[count:, :, :first] = 0.0  # what was there may be no number
                array[count:, :, first:width] = new[:, :, : other.width]
        self.rows = self.rows + other.rows
        self._pad(np.concatenate(padding))

    def keep(self, numbers):
        """Let go of all rows but those with these numbers (one at least), and of the
        padding that they have in common."""
        kept, order = sorted(numbers), list(range(len(numbers)))
        holes = [row for row in order if row not in kept]
        for hole in holes:  # the last rows move into them
            order[hole] = kept.pop()
        padding, width = self.padding[order], self.width
        for cache in self.caches:
            for array in (cache.keys, cache.values):
                for hole in holes:
                    array[hole, :, :width] = array[order[hole], :, :width]
        self.rows = [self.rows[row] for row in order]
        self._fit(len(order), width - int(padding.min()))
        self._pad(padding - padding.min())

    def some(self, numbers):
        """A copy of the rows with these numbers, as a group of its own."""
        padding = self.padding[numbers]
        first, caches = int(padding.min()), []
        for cache in self.caches:
            own = Cache(self.width - first)
            own.keys = cache.keys[numbers, :, first : self.width]
            own.values = cache.values[numbers, :, first : self.width]
            own.length = own.capacity
            caches.append(own)
        group = Group(self.cfg, [self.rows[row] for row in numbers], caches)
        group._pad(padding - first)
        return group

    def _pad(self, padding):
        for cache in self.caches:
            cache.padding = padding if padding.any() else None

    def _fit(self, count, width):
        """Make the arrays ``count`` rows, of which the present ones end at ``width``,
        with room for a position more. Of new room there is twice what is needed, so
        that growing by one costs little on the whole."""
        wanted = (_room(count), _room(width + 1, LEAST, self.cfg.n_ctx))
        for cache in self.caches:
            old, (_, H, _, D) = cache.length, cache.keys.shape
            store = _store(cache)
            moves = width != old
            if store is None or width > old or not _fits(store, count, width, wanted):
                store = np.empty((2, wanted[0], H, wanted[1], D), cache.keys.dtype)
                moves = True
            if moves:
                rows, first = min(count, len(cache.keys)), max(0, width - old)
                for to, array in zip(store, (cache.keys, cache.values), strict=True):
                    to[:rows, :, :first] = 0.0
                    to[:rows, :, first:width] = array[
                        :rows, :, max(0, old - width) : old
                    ]
            cache.keys, cache.values = store[:, :count]
            cache.length, cache.capacity = width, store.shape[3]


class Reading:
    """Texts of which the model has still to read: one in pieces, or short ones at once,
    their ends side by side."""

    def __init__(self, cfg, jobs):
        self.window, padding = align([job.ids[-cfg.n_ctx :] for job in jobs])
        width = self.window.shape[1]
        caches = new_caches(cfg, min(cfg.n_ctx, width + 1), padding)
        self.group = Group(cfg, jobs, caches)

    def read(self, model):  # -> (B, V), or None when there is more to read
        """Read a piece."""
        caches, cfg = self.group.caches, self.group.cfg
        first = caches[0].length
        piece = self.window[:, first : first + PIECE]
        logits = model(piece, cfg, caches=caches, last=True)
        return logits[:, -1] if caches[0].length == self.window.shape[1] else None


def _store(cache):
    """The array (2, rows, H, positions, D) that keys and values are views of, or None:
    a model may have replaced them."""
    store = cache.keys.base
    if store is None or store is not cache.values.base or np.ndim(store) != 5:
        return None
    return store if store.shape[2:] == cache.keys.shape[1:] else None


def _fits(store, count, width, wanted):
    """Whether there is room, and not four times as much as is wanted."""
    rows, positions = store.shape[1], store.shape[3]
    enough = count <= rows and width < positions
    return enough and rows < 4 * wanted[0] and positions < 4 * wanted[1]


def _room(number, least=1, most=None):
    """The power of two from ``number``, within bounds."""
    room = max(least, 1 << (number - 1).bit_length())
    return room if most is None else min(room, most)


def call_cost(cfg):
    """To how many positions a row can attend while the weights are read once more.

    A position is 2 L C numbers, its keys and values in all blocks, and the weights are
    12 L C² + V C. A number of the weights costs as much as two of a cache, about, from
    two rows to 64, in small models and in large (benchmarks/serving.py).
    """
    return 12 * cfg.n_embd + cfg.vocab_size // cfg.n_layer


def partition(lengths, call):
    """Which texts to decode together: lists of their numbers, the longest first.

    A call of the model costs as much as attending to ``call`` positions, and each of
    its rows as many positions as the longest has. This division costs least: a few long
    texts among many short ones are decoded on their own.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    sizes = [int(lengths[number]) for number in order]
    if sizes[0] * len(sizes) - sum(sizes) <= call:  # no division can save a call
        return [order]
    least, begins = (
        [0],
        [0],
    )  # of the first texts: what they cost, the last part's begin
    for end in range(1, len(sizes) + 1):
        costs = [least[k] + call + (end - k) * sizes[k] for k in range(end)]
        begins.append(min(range(end), key=costs.__getitem__))
        least.append(costs[begins[-1]])
    parts, end = [], len(sizes)
    while end:
        parts.append(order[begins[end] : end])
        end = begins[end]
    return parts[::-1]


def regroup(groups, call):
    """The rows of some groups in the groups that `partition` wants, if what that saves
    in `PAYS` steps is worth the positions that have to be moved."""
    owners = [
        (g, row) for g, group in enumerate(groups) for row in range(len(group.rows))
    ]
    if len(owners) == 0:
        return []
    lengths = np.concatenate([group.lengths for group in groups])
    parts = partition(lengths, call)
    saved = sum(call + len(group.rows) * group.width for group in groups)
    saved -= sum(call + len(part) * lengths[part[0]] for part in parts)
    plans, free = [], set(range(len(groups)))
    for part in parts:
        rows = {}
        for number in part:
            rows.setdefault(owners[number][0], []).append(owners[number][1])
        stays = max(free & set(rows), key=lambda g: len(rows[g]), default=None)
        free.discard(stays)
        plans.append((stays, rows, int(lengths[part[0]])))
    if saved * PAYS <= sum(_moved(groups, *plan) for plan in plans):
        return groups
    moving = [
        [groups[g].some(numbers) for g, numbers in rows.items() if g != stays]
        for stays, rows, _ in plans
    ]  # copied before any group lets go of them
    found = []
    for (stays, rows, _), pieces in zip(plans, moving, strict=True):
        if stays is None:
            group = pieces.pop(0)
        else:
            group = groups[stays]
            if len(rows[stays]) < len(group.rows):
                group.keep(rows[stays])
        for piece in pieces:
            group.add(piece)
        found.append(group)
    return found


def _moved(groups, stays, rows, width):
    """How many positions are copied to make a group."""
    moved = 0
    for g, numbers in rows.items():
        lengths = groups[g].lengths[numbers]
        if g != stays or groups[g].width < width:
            moved += int(lengths.sum())
    return moved
