"""What the tests of workers share: short runs, acts of others, what is left over."""

import contextlib
import gc
import os
from pathlib import Path

import numpy as np
from small_model import CFG, batch

import minigpt as mg
from minigpt import workers

IDS = np.tile(np.arange(13), 20)
PARAMS = mg.init(CFG)
IDS_, TARGETS, _ = batch(rows=4)


def plain(params, ids, targets, cfg, *, mask=None, rng=None):
    return mg.next_token_loss(params, ids, targets, cfg, mask=mask)


def there(does):
    """A loss that does something first, in other processes than this one."""
    here = os.getpid()

    def loss(*batch, **settings):
        if os.getpid() != here:
            does()
        return plain(*batch, **settings)

    return loss


@contextlib.contextmanager
def nothing_left_after():
    """No process of a worker, no memory that was shared and no open file is left."""
    begun, before = [], open_files()
    start = workers.Process.__init__

    def noted(self, *arguments):
        start(self, *arguments)
        begun.append(self.process)

    workers.Process.__init__ = noted
    try:
        yield begun
    finally:
        workers.Process.__init__ = start
    assert begun and all(process.returncode is not None for process in begun)
    assert left_in_memory() == []
    assert open_files() == before


def open_files():
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.exists() else None


def left_in_memory():
    gc.collect()
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    return [line for line in maps.read_text().splitlines() if "memfd:minigpt" in line]


def fit(out=None, **settings):
    given = {"steps": 12, "batch_size": 4, "lr": 1e-2, "workers": 2, "progress": False}
    return mg.fit(mg.init(CFG), CFG, IDS, out=out, **given | settings)


class Mine(Exception):
    """An error of a test."""
