"""One yardstick for the memory of any library: what the system saw at the peak.

Linux keeps the most that a process ever held in memory (VmHWM), and sets that mark back
on request. So: hand free memory back to the system, note what the process rests at, set
the mark back, run, and read it. Python's own ``tracemalloc`` would see NumPy's arrays,
and neither PyTorch's nor JAX's. Where the mark cannot be set back, the peak is what it
rose by, which is too little where the process was once larger; elsewhere ``getrusage``
knows the mark, or nobody, and then the peak is None.
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
    if STATUS.exists():
        return lambda: status("VmHWM"), "VmHWM"
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
