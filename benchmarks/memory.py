"""One yardstick for the memory of any library: what the system saw at the peak.

Linux keeps the most that a process ever held in memory (VmHWM), and sets that mark back
on request. So: hand free memory back to the system, note what the process rests at, set
the mark back, run, and read it. Python's own ``tracemalloc`` would see NumPy's arrays,
and neither PyTorch's nor JAX's. Elsewhere the mark cannot be set back: then the peak is
what ``getrusage`` says the process grew by, which is too little where it was once
larger, and None where there is no such call.
"""

import ctypes
import gc
import sys
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SET_MARK_BACK = "5"  # proc(5): reset the peak resident set size


def peak(run):
    """``{"bytes": above what the process rested at, "how": …}`` of ``run()``."""
    hand_back()
    try:
        CLEAR.write_text(SET_MARK_BACK)
        rest = status("VmRSS")
        run()
        return {"bytes": max(0, status("VmHWM") - rest), "how": "VmHWM - VmRSS"}
    except OSError:  # no /proc, or not ours to write to
        return grown(run)


def status(name):
    """A line of /proc/self/status, in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{STATUS} has no {name}")


def grown(run):
    """What ``getrusage`` knows of the same."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        run()
        return {"bytes": None, "how": "this system has no getrusage"}

    def most():
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = most()
    run()
    return {"bytes": most() - before, "how": "growth of ru_maxrss"}


def hand_back():
    """Collect what is garbage, and give the allocator's free pages to the system, so
    that what a library freed before does not hide what it takes now."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library than GNU's
        return
