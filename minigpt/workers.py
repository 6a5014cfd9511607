"""Where the workers of a step are: here, in threads, or in processes of their own.

Python runs one thread at a time, and NumPy's threads wait for one another at each of
the hundreds of calls of a small step. Processes do not. They see the same arrays in
memory that they share, which has no name and goes when the last of them ends; what is
told is small, and goes through a pipe. Chapter: training.
"""

import contextlib
import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import cloudpickle
import numpy as np

from minigpt import tree
from minigpt.memory import kept

ALIGNED = 64  # bytes: a line of the cache belongs to one array
BLAS = "OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "BLIS_NUM", "VECLIB_MAXIMUM"  # …_THREADS
INHERITS = os.name == "posix"  # whether a process can hand files on to another


@dataclass
class Place:
    """Where an array stands in the memory."""

    start: int
    shape: tuple
    dtype: np.dtype


def places(trees):
    """A place for every array of ``trees``, and how many bytes they need together."""
    end = 0

    def place(array):
        nonlocal end
        start = end
        end += -(-array.nbytes // ALIGNED) * ALIGNED
        return Place(start, array.shape, array.dtype)

    return tree.map(place, trees), end


def views(places, memory):
    """The arrays that stand at ``places``."""
    return tree.map(
        lambda p: np.ndarray(p.shape, p.dtype, buffer=memory, offset=p.start), places
    )


class Here:
    """A worker that works when it is asked for its answer."""

    def __init__(self, worker):
        self.worker = worker

    def begin(self, name, *arguments):
        self.todo = name, arguments

    def end(self):
        name, arguments = self.todo
        return getattr(self.worker, name)(*arguments)

    def stop(self):
        """It does nothing that could be stopped."""


class Thread(Here):
    """A worker that begins at once, in a thread of this process."""

    def __init__(self, worker, pool):
        super().__init__(worker)
        self.pool = pool

    def begin(self, name, *arguments):
        self.future = self.pool.submit(getattr(self.worker, name), *arguments)

    def end(self):
        return self.future.result()


class Process:
    """A worker in a process of its own, which ends with this one, however that ends."""

    def __init__(self, number, memory):
        self.number = number
        self.pipe, theirs = Pipe()
        descriptors = theirs.fileno(), memory
        serve = f"from minigpt.workers import serve; serve{descriptors}"
        path = map(os.path.abspath, sys.path)
        one = dict.fromkeys([f"{name}_THREADS" for name in BLAS], "1")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-c", serve],  # no path, no buffers added
                stdin=subprocess.DEVNULL,
                env=os.environ | one | {"PYTHONPATH": os.pathsep.join(path)},
                pass_fds=descriptors,
                process_group=0,  # Ctrl-C in a terminal is for this process alone
            )

    def begin(self, *told):
        data = cloudpickle.dumps(told)
        with contextlib.suppress(OSError):  # its process is no more, as end will find
            self.pipe.send_bytes(data)

    def end(self):
        try:
            answer, error = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            raise RuntimeError(self._obituary()) from None
        if error is not None:
            raise error
        return answer

    def stop(self):
        """End it, whatever it is doing; returns how it ended."""
        self.process.kill()
        with contextlib.suppress(OSError):  # at Python's end it may be closed already
            self.pipe.close()
        return self.process.wait()

    def _obituary(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)  # a thread of the loss may hold it for ever
        code = self.stop()
        killed = f"was killed by {signal.Signals(-code).name}" if code < 0 else ""
        return (
            f"the process of worker {self.number} {killed or f'ended with code {code}'}"
            ": if memory ran out, workers=1 or a smaller batch needs less"
        )


def serve(pipe, memory):
    """What the process of a worker does: as it is told, until nobody is there."""
    memory, worker = mmap.mmap(memory, 0), None

    def work(name, *arguments):
        nonlocal worker
        if worker is not None:
            return getattr(worker, name)(*arguments)
        worker = made(memory, *arguments)

    with (
        Connection(pipe) as pipe,
        kept(),
        contextlib.suppress(EOFError, OSError),  # the other process is no more
    ):
        while True:
            told = pipe.recv_bytes()
            try:
                answer = pickle.dumps((work(*pickle.loads(told)), None))
            except Exception as error:
                answer = as_told(error)
            pipe.send_bytes(answer)


def made(memory, number, make, where):
    """The worker that ``make(trees, number)`` gives, from the other process's words.
    The large arrays that a loss brings are read where they stand, not copied."""
    seen = views(where, memory)
    return pickle.loads(make, buffers=seen["brought"])(seen["trees"], number)


def as_told(error):
    """The answer that is an error, with the way it took here as a note."""
    trace = "".join(traceback.format_exception(error))
    error.add_note(f"in the process of a worker:\n{trace}")
    try:
        data = cloudpickle.dumps((None, error))
        pickle.loads(data)
    except Exception:  # some errors cannot be sent, or cannot be made again
        name = type(error).__name__
        data = pickle.dumps((None, RuntimeError(f"{name}: {error}\n{trace}")))
    return data


@contextlib.contextmanager
def hired(make, trees, count):
    """So many workers ``make(trees, number)``, and ``trees`` in memory they share.

    The first works here, and each other in a process of its own. Where that cannot be,
    they are threads, which give the same bits, later.
    """
    with contextlib.ExitStack() as stack:
        try:
            pair = (_processes if INHERITS else _threads)(make, trees, count, stack)
        except Exception as error:
            stack.close()  # those that had begun
            told = "the workers are threads, with the same results, later, because "
            told += f"{type(error).__name__}: {error}"
            warnings.warn(told, RuntimeWarning, stacklevel=5)
            pair = _threads(make, trees, count, stack)
        del trees  # there are copies now
        yield pair


def _processes(make, trees, count, stack):
    buffers = []
    make_told = cloudpickle.dumps(make, buffer_callback=buffers.append)
    brought = [np.asarray(buffer.raw()) for buffer in buffers]
    given = {"trees": trees, "brought": brought}
    where, size = places(given)
    with nameless(size) as descriptor:
        memory, others = mmap.mmap(descriptor, size), []
        for number in range(1, count):
            others.append(Process(number, descriptor))
            stack.callback(others[-1].stop)
    seen = views(where, memory)
    tree.map(np.copyto, seen, given)  # while they begin
    for number, other in enumerate(others, 1):
        other.begin("make", number, make_told, where)
    for other in others:
        other.end()
    return [Here(make(seen["trees"], 0)), *others], seen["trees"]


def _threads(make, trees, count, stack):
    where, size = places(trees)
    seen = views(where, mmap.mmap(-1, size))
    tree.map(np.copyto, seen, trees)
    pool = stack.enter_context(ThreadPoolExecutor(count))
    others = [Thread(make(seen, number), pool) for number in range(1, count)]
    return [Here(make(seen, 0)), *others], seen


@contextlib.contextmanager
def nameless(size):
    """The descriptor of so many bytes in memory that have no name in any folder."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("minigpt")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, size)
        yield descriptor
    finally:
        os.close(descriptor)
