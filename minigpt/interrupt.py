"""Ctrl-C that waits until a step is whole, so that nothing is kept half-done.

Chapter: training.
"""

import os
import signal
import sys
import threading


class HeldBack:
    """``with HeldBack() as ctrl_c``: Ctrl-C does not break the block off, it sets
    ``ctrl_c.came``. A second one breaks off at once; if none is done about the first,
    leaving the block raises the ``KeyboardInterrupt`` after all.

    Nothing is held back outside of the main thread, and where a program has a handler
    of its own or ignores the signal.
    """

    def __init__(self):
        self.came = False
        self._holds = False

    def __enter__(self):
        main = threading.current_thread() is threading.main_thread()
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if main and usual:
            signal.signal(signal.SIGINT, self._note)
            self._holds = True
        return self

    def __exit__(self, kind, error, trace):
        if self._holds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.came and kind is None:
            raise KeyboardInterrupt

    def _note(self, number, frame):
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        if sys.stderr is sys.__stderr__ and os.isatty(2):  # print() might be at work
            os.write(2, b"\nfinishing this step; Ctrl-C again does not wait\n")
