"""A file that is arriving: what is there of it, and which file it is a part of.

The bytes of NAME lie in ``NAME.part`` until all have come and their sum is right; a
note in ``NAME.part.json`` keeps what the server told of the file, so that a later
program goes on with the same file and with no other. Used by `minigpt.download`.
"""

import contextlib
import hashlib
import json
import os
import shutil

from minigpt.checkpoint import write

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

UNKNOWN = {"sha256": None, "tag": None, "size": None}  # of a file's origin


class Part:
    """What has arrived of the file at ``url``, which is to lie at ``whole``.

    ``sha256`` is the published sum, or None. ``origin`` is what the server tells: the
    "sha256" that it states, its "tag" or date for this version, and the "size".
    """

    def __init__(self, whole, url, sha256):
        self.whole, self.url, self.sha256 = whole, url, sha256
        self.path = whole.with_name(f"{whole.name}.part")
        self.note = whole.with_name(f"{whole.name}.part.json")
        self.origin = UNKNOWN
        with contextlib.suppress(OSError, ValueError, TypeError):
            self.origin = UNKNOWN | json.loads(self.note.read_bytes())
        if not self.can_grow():
            self.drop()

    @property
    def size(self):
        return self.path.stat().st_size if self.path.exists() else 0

    def can_grow(self):
        """Whether the server could tell that it still has the same file."""
        return bool(self.size and (self.origin["sha256"] or self.origin["tag"]))

    def is_whole(self):
        return self.path.exists() and self.size == self.origin["size"]

    def begin(self, origin):
        """Forget what is there; the note comes first, so that it is never wrong."""
        stated = origin["sha256"]
        if self.sha256 and stated and stated != self.sha256:
            raise ValueError(self._wrong(f"{self.url} is", stated, self.sha256))
        self.drop()
        self.origin = origin
        write(self.note, json.dumps(origin).encode())
        self.path.touch()

    def check_room(self):
        missing = (self.origin["size"] or 0) - self.size
        if missing > (free := shutil.disk_usage(self.path.parent).free):
            raise OSError(
                f"{self.whole} needs {missing / 1e9:.2f} GB more, and its disk has "
                f"{free / 1e9:.2f} GB left: make room, or choose another folder"
            )

    def problem(self):
        """A sentence when the sum of the whole is not what was published, else None."""
        expected = self.sha256 or self.origin["sha256"]
        if expected and (found := digest(self.path)) != expected:
            return self._wrong(f"what {self.url} gave is", found, expected)
        return None

    def _wrong(self, subject, found, expected):
        return (
            f"{subject} not the published {self.whole.name}: its sha256 is {found} and "
            f"should be {expected}. It was not kept"
        )

    def drop(self):
        self.origin = UNKNOWN
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def finish(self):
        """Make sure that all is on disk, and put it in its place."""
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.path, self.whole)
        self.note.unlink(missing_ok=True)


def digest(path):
    """The sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path, sha256):
    """Raise ``ValueError`` unless a file has this sum (None allows any)."""
    if sha256 and (found := digest(path)) != sha256:
        raise ValueError(
            f"{path} is not the published file: its sha256 is {found} and should be "
            f"{sha256}. Remove it to have it downloaded again"
        )


@contextlib.contextmanager
def alone(folder):
    """Hold a folder, so that two programs do not write to the same part."""
    handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if fcntl:
            _lock(handle, folder)
        yield
    finally:
        if fcntl:
            os.close(handle)


def _lock(handle, folder):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(
            f"another download into {folder} is under way: wait for it, or stop it"
        ) from None
    except OSError:
        pass  # a file system that knows no locks
