import resource
import sys

import numpy as np
import pytest

from minigpt import memory

pytestmark = pytest.mark.skipif(memory._glibc() is None, reason="there is no glibc")


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def arrays():
    """Sixteen arrays of 6 MB, as the activations of a step, all of them touched."""
    return [np.ones(1_500_000, np.float32) for _ in range(16)]


def test_what_is_freed_is_used_again_without_the_system():
    with memory.kept():
        arrays()
        before = faults()
        for _ in range(5):
            arrays()
        assert faults() - before < 5 * 16 * 1_500  # pages: the arrays, touched once


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_in_the_end_it_is_given_back():
    before = resident()
    with memory.kept():
        arrays()
        assert resident() - before > 80e6
    assert resident() - before < 20e6


def test_an_older_glibc_takes_a_lower_threshold(monkeypatch):
    class Older:
        """What refuses a threshold of over 32 MB, as glibc did before 2.35."""

        asked = []

        def mallopt(self, name, value):
            self.asked.append((name, value))
            return int(name != memory.MMAP_THRESHOLD or value <= memory.DYNAMIC)

        def malloc_trim(self, _):
            return 1

    monkeypatch.setattr(memory, "_glibc", Older)
    with memory.kept():
        assert (memory.MMAP_THRESHOLD, memory.DYNAMIC) in Older.asked
