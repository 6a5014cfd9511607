"""One yardstick for the memory of any library: what the system saw at the peak.

Linux keeps the most that a process ever held in memory (VmHWM), and sets that mark back
on request. So: hand free memory back to the system, note what the process rests at, set
the mark back, run, and read it. Python's own ``tracemalloc`` would see NumPy's arrays,
and neither PyTorch's nor JAX's. Where the mark cannot be set back, the peak is what it
rose by, which is too little where the process was once larger; elsewhere ``getrusage``
knows the mark, or nobody, and then the peak is None.

Processes that a library works with count as well: the sum of their peaks, each above
what it rested at. What they share they have seen before, so that it counts once, if at
all; and their peaks may come at different times, so that the sum is rather too much.
"""

import ctypes
import gc
import sys
from pathlib import Path

PROC, CLEAR = Path("/proc"), "clear_refs"
SET_MARK_BACK = "5"  # proc(5): reset the peak resident set size


def peak(run):
    """``{"bytes": above what the process rested at, "how": …}`` of ``run()``."""
    hand_back()
    try:
        processes = family()
        for process in processes:
            (process / CLEAR).write_text(SET_MARK_BACK)
        rest = held("VmRSS", processes)
        run()
        most = held("VmHWM", processes)
        return {"bytes": max(0, most - rest), "how": "VmHWM - VmRSS"}
    except OSError:  # no /proc, or not ours to write to
        return grown(run)


def family():
    """The folders in /proc of this process and of those that it began."""
    lists = (PROC / "self" / "task").glob("*/children")
    children = [number for path in lists for number in path.read_text().split()]
    return [PROC / number for number in ("self", *children)]


def held(name, processes):
    """A line of /proc/…/status, in bytes, of all ``processes`` together."""
    return sum(status(name, process) for process in processes)


def status(name, process):
    for line in (process / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{process} has no {name}")


def grown(run):
    """How far a mark rose that cannot be set back."""
    try:
        most, how = highest()
    except (OSError, ModuleNotFoundError):  # Windows has neither
        run()
        return {"bytes": None, "how": "this system tells nobody"}
    before = most()
    run()
    return {"bytes": most() - before, "how": f"growth of {how}"}


def highest():
    """What gives the most that the process ever held, and its name. A new program's
    ru_maxrss begins with its parent's, so that it comes second."""
    if (PROC / "self" / "status").exists():
        processes = family()
        return lambda: held("VmHWM", processes), "VmHWM"
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return (
        lambda: unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "ru_maxrss",
    )


def hand_back():
    """Collect what is garbage, and give the allocator's free pages to the system, so
    that what a library freed before does not hide what it takes now."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library than GNU's
        return
