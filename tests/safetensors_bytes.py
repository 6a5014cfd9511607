"""Files of the safetensors format, right and wrong, written and read for the tests."""

import json

from minigpt.safetensors_file import read_header


def opened(tmp_path, raw):
    path = tmp_path / "some.safetensors"
    path.write_bytes(raw)
    return open(path, "rb")


def read_all(tmp_path, raw):
    with opened(tmp_path, raw) as file:
        tensors, metadata = read_header(file)
        return {name: t.read() for name, t in tensors.items()}, metadata


def with_header(header, data=b"", length=None):
    """A file with the header as given, right or wrong."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    length = len(header) if length is None else length
    return length.to_bytes(8, "little") + header + data


def entry(kind="F32", shape=(2,), start=0, stop=8):
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}


def identical(a, b):
    return set(a) == set(b) and all(
        a[n].dtype == b[n].dtype
        and a[n].shape == b[n].shape
        and a[n].tobytes() == b[n].tobytes()
        for n in a
    )
