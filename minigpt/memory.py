"""Memory that a step frees, kept for the next step.

A step of training needs the same large arrays as the step before. The C library of
Linux gives large blocks back to the system when they are freed, and the system hands
out every page anew, zeroed, at its first touch: a quarter of the time of a small step.
"""

import contextlib
import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's names for them (malloc.h of glibc)
KEEP = 2**30  # bytes, of one block and of what is free at the end of the heap
DYNAMIC = 2**25  # bytes that glibc's own threshold grows to in time


@contextlib.contextmanager
def kept():
    """Within this, freed memory stays with the program; afterwards it is given back.

    It does nothing where the C library is not glibc.
    """
    library = _glibc()
    if library is None:
        yield
        return
    if not library.mallopt(MMAP_THRESHOLD, KEEP):  # too much for glibc before 2.35
        library.mallopt(MMAP_THRESHOLD, DYNAMIC)
    library.mallopt(TRIM_THRESHOLD, KEEP)
    try:
        yield
    finally:
        library.mallopt(MMAP_THRESHOLD, DYNAMIC)
        library.mallopt(TRIM_THRESHOLD, 2 * DYNAMIC)
        library.malloc_trim(0)


def _glibc():
    try:
        library = ctypes.CDLL(None)
        return library if library.gnu_get_libc_version and library.mallopt else None
    except (AttributeError, OSError, TypeError):  # other systems, other libraries
        return None
