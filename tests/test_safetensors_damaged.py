"""Damaged safetensors files: what the library refuses is refused, with a sentence."""

import os

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as library_load
from safetensors.numpy import save as library_save
from safetensors_bytes import entry, identical, opened, read_all, with_header

from minigpt.safetensors_file import LONGEST_HEADER, PIECE, read_header

TWO = {"a": entry(), "b": entry(start=8, stop=16)}
ONE = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
THREE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}
NUMBER = {"__metadata__": {"n": 1}}
GAP = {"b": entry(start=9, stop=17), "c": entry(start=16, stop=24)}
LAP = {"b": entry(start=7, stop=15), "c": entry(start=16, stop=24)}
WRONG = {
    "its first 8 bytes cut": b"1234567",
    "nothing in it": b"",
    "a header longer than the file": with_header(b"{}", length=3),
    "a header longer than any": with_header(b"{}", length=1 << 63),
    "no header": with_header(b""),
    "no JSON": with_header(b"{,}"),
    "no names": with_header([]),
    "a deep hole": with_header(b'{"a":' + b"[" * 100_000),
    "no UTF-8": with_header(ONE.replace(b"a", b"\xe9", 1) + b"}", bytes(8)),
    "half a surrogate": with_header(ONE.replace(b"a", b"\\ud800", 1) + b"}", bytes(8)),
    "a byte order mark": with_header(b"\xef\xbb\xbf" + ONE + b"}", bytes(8)),
    "a zero after the header": with_header(ONE + b"}\0", bytes(8)),
    "bytes left over": with_header(TWO, bytes(17)),
    "bytes cut off": with_header(TWO, bytes(15)),
    "a gap before": with_header({"a": entry(start=4, stop=12)}, bytes(12)),
    "a gap between": with_header({**TWO, "b": entry(start=9, stop=17)}, bytes(17)),
    "a gap, then an overlap": with_header({**TWO, **GAP}, bytes(24)),
    "an overlap, then a gap": with_header({**TWO, **LAP}, bytes(24)),
    "an overlap": with_header({**TWO, "b": entry(start=4, stop=12)}, bytes(12)),
    "one place for two": with_header({**TWO, "b": entry()}, bytes(8)),
    "a place before the data": with_header({"a": entry(start=-8, stop=0)}, bytes(8)),
    "an end before the start": with_header({"a": entry(shape=[0], start=8, stop=0)}),
    "too small a place": with_header({"a": entry(shape=[3])}, bytes(8)),
    "an end too early": with_header({"a": entry(stop=4)}, bytes(8)),
    "a shape of no numbers": with_header({"a": entry(shape=[2.0])}, bytes(8)),
    "a shape of truths": with_header({"a": entry(shape=[True, 2])}, bytes(8)),
    "a negative shape": with_header({"a": entry(shape=[-1, -2])}, bytes(8)),
    "a shape that overflows": with_header({"a": entry(shape=[1 << 33] * 2)}, bytes(8)),
    "a huge shape of zero": with_header({"a": entry(shape=[2**63, 9, 0], stop=0)}),
    "three offsets": with_header({"a": THREE}, bytes(8)),
    "no offsets": with_header({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "a word for an entry": with_header({"a": "F32"}, bytes(8)),
    "a list for a dtype": with_header({"a": entry(kind=["F32"])}, bytes(8)),
    "a word for a shape": with_header({"a": entry(shape="", stop=4)}, bytes(4)),
    "names for a shape": with_header({"a": entry(shape={}, stop=4)}, bytes(4)),
    "an unknown dtype": with_header({"a": entry(kind="F33")}, bytes(8)),
    "a metadata number": with_header({**NUMBER, "a": entry()}, bytes(8)),
    "a metadata list": with_header({"__metadata__": [], "a": entry()}, bytes(8)),
    "a field twice": with_header(ONE[:-1] + b',"shape":[2]}}', bytes(8)),
}
RIGHT = {
    "no tensor": with_header({}),
    "any order": with_header({"b": TWO["b"], "a": TWO["a"]}, bytes(16)),
    "spaces around": with_header(b" " + ONE + b"}  \n\t ", bytes(8)),
    "other fields": with_header({"a": entry() | {"note": [1.5, None]}}, bytes(8)),
    "no metadata": with_header({"__metadata__": None, "a": entry()}, bytes(8)),
    "a scalar": with_header({"a": entry(shape=[], stop=4)}, bytes(4)),
    "nothing, wide": with_header({"a": entry(shape=[0, 1 << 20], stop=0)}),
    "an empty name": with_header({"": entry()}, bytes(8)),
}
STRICTER = {  # the library takes the last of both
    "a name twice": with_header(ONE + b"," + ONE[1:] + b"}", bytes(8)),
    "metadata twice": with_header(b'{"__metadata__":{"n":"1","n":"2"}}'),
}


@pytest.mark.parametrize("name", [*WRONG, *STRICTER])
def test_damaged_files_get_a_sentence(tmp_path, name):
    raw = (WRONG | STRICTER)[name]
    if name in WRONG:
        with pytest.raises(SafetensorError):
            library_load(raw)
    with pytest.raises(ValueError, match=r"some\.safetensors (is dam|holds a as F)"):
        read_all(tmp_path, raw)


REASONS = {  # the first that is found wrong
    "its first 8 bytes cut": "it has 7 bytes, and no header of",
    "a header longer than the file": "it has 10 bytes, and no header of 3",
    "bytes left over": r"it has 148 bytes, and its tensors end at 147",
    "bytes cut off": r"it has 146 bytes, and its tensors end at 147",
    "a gap between": "b begins at byte 140, and what is before it ends at 139",
    "too small a place": r"a, F32 of shape \[3\], takes 12 bytes, and .* gives it 8",
    "a name twice": "its header gives a name twice",
    "a list for a dtype": "its header does not say what a is, and where",
    "a metadata number": "the metadata in its header are not strings by name",
    "no names": "its header holds no names",
}


@pytest.mark.parametrize("name", REASONS)
def test_the_sentence_tells_the_reason(tmp_path, name):
    with pytest.raises(ValueError, match=f"was cut short: {REASONS[name]}"):
        read_all(tmp_path, (WRONG | STRICTER)[name])


@pytest.mark.parametrize("too_long", [0, 1])
def test_the_longest_header_is_the_library_s(tmp_path, too_long):
    path = tmp_path / "some.safetensors"
    length = LONGEST_HEADER + too_long
    path.write_bytes(length.to_bytes(8, "little"))
    os.truncate(path, 8 + length)  # zeros, which are no JSON, and take no room on disk
    with pytest.raises(SafetensorError, match="large" if too_long else "JSON"):
        safe_open(path, "numpy").__enter__()
    sentence = "no header of 100,000,001" if too_long else "Expecting value"
    with open(path, "rb") as file, pytest.raises(ValueError, match=sentence):
        read_header(file)


@pytest.mark.parametrize("name", RIGHT)
def test_unusual_files_are_read(tmp_path, name):
    assert identical(read_all(tmp_path, RIGHT[name])[0], library_load(RIGHT[name]))


WHOLE = library_save({"a": np.arange(3.0), "é": np.ones((2, 3), "f4")}, {"n": "1"})
BYTES = st.binary(max_size=3) | st.sampled_from([b"0", b"8", b",", b'"', b"{", b"-1"])


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 12), BYTES)
@example(8, 0, b" ")
def test_what_the_library_refuses_is_refused(tmp_path_factory, at, cut, put):
    raw = WHOLE[:at] + put + WHOLE[at + cut :]
    assume(raw != WHOLE)
    try:
        expected = library_load(raw)
    except SafetensorError:
        with pytest.raises(ValueError, match=r"safetensors is damaged|holds .* as "):
            read_all(tmp_path_factory.mktemp("file"), raw)
    else:
        assert identical(read_all(tmp_path_factory.mktemp("file"), raw)[0], expected)


def test_a_type_that_is_not_read_is_named(tmp_path):
    raw = with_header({"h.0.c_attn.weight": entry("F8_E4M3", (8,))}, bytes(8))
    with pytest.raises(ValueError, match=r"holds h\.0\.c_attn\.weight as F8_E4M3"):
        read_all(tmp_path, raw)


def test_a_pointer_of_git_lfs_is_recognised(tmp_path):
    raw = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5481180\n"
    with pytest.raises(ValueError, match=r"pointer of Git LFS: `git lfs pull`"):
        read_all(tmp_path, raw)


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    raw = library_save({"w": np.ones(PIECE + 1, "f4")})
    with opened(tmp_path, raw) as file:
        tensors = read_header(file)[0]
        (tmp_path / "some.safetensors").write_bytes(raw[:-1])
        with pytest.raises(ValueError, match="or was cut short: it ends within w"):
            tensors["w"].read()
