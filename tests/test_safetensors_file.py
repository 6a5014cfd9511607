"""The safetensors format as its own library reads and writes it, in less memory."""

import json
import math
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save as library_save
from safetensors_bytes import entry, identical, opened, read_all, with_header

from minigpt import safetensors_file
from minigpt.safetensors_file import DTYPES, PIECE, encode, read_header

NUMPY = [dtype for kind, dtype in DTYPES.items() if kind not in ("BF16", "C64")]
arrays = st.sampled_from(NUMPY).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), arrays, max_size=5), st.text(), st.integers(0, 3))
def test_files_are_those_of_the_library(tmp_path_factory, flat, note, order):
    assume("__metadata__" not in flat)
    turn = [
        lambda a: a,
        lambda a: np.array(a, order="F"),
        lambda a: np.stack([a, a], -1)[..., 1],  # with gaps in memory
        lambda a: a.astype(a.dtype.newbyteorder(">")),
    ]
    ours = b"".join(encode({n: turn[order](a) for n, a in flat.items()}, {"é": note}))
    assert ours == library_save(flat, {"é": note})
    read, metadata = read_all(tmp_path_factory.mktemp("file"), ours)
    assert metadata == {"é": note}
    assert identical(read, flat)


def test_every_array_that_is_written_is_aligned(tmp_path):
    flat = {f"{i}.{dtype}": np.zeros(i, dtype) for i in (1, 3) for dtype in NUMPY}
    with opened(tmp_path, b"".join(encode(flat, {}))) as file:
        for tensor in read_header(file)[0].values():
            assert tensor.start % np.dtype(DTYPES[tensor.kind]).itemsize == 0


@pytest.mark.parametrize("kind", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("spaces", range(8))
def test_unaligned_tensors_come_as_aligned_arrays(tmp_path, kind, spaces):
    numbers = np.arange(12).astype(DTYPES[kind])
    header = {"x": entry("U8", (1,), 0, 1)}
    header["w"] = entry(kind, (3, 4), 1, 1 + numbers.nbytes)
    raw = json.dumps(header).encode() + b" " * spaces
    with opened(tmp_path, with_header(raw, b"\0" + numbers.tobytes())) as file:
        w = read_header(file)[0]["w"].read(widen=True)
    assert w.flags.aligned and w.flags.c_contiguous and w.flags.owndata
    assert w.dtype == ("f8" if kind == "F64" else "f4")
    expected = numbers.astype("u4") << 16 if kind == "BF16" else numbers
    expected = expected.view("f4") if kind == "BF16" else numbers
    np.testing.assert_array_equal(w, expected.reshape(3, 4))


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_all_numbers_in_half_precision(tmp_path, kind):
    bits = np.arange(1 << 16, dtype="<u2")
    raw = with_header({"w": entry(kind, bits.shape, 0, 1 << 17)}, bits.tobytes())
    with opened(tmp_path, raw) as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        w = read_header(file)[0]["w"].read(widen=True)
    fraction, stored = (10, 5) if kind == "F16" else (7, 8)
    bias = 2 ** (stored - 1) - 1
    for number, b in zip(w.tolist(), bits.tolist(), strict=True):
        sign = -1.0 if b >> 15 else 1.0
        exponent, rest = (b >> fraction) % 2**stored, b % 2**fraction
        if exponent == 2**stored - 1:
            assert math.isnan(number) if rest else number == sign * math.inf
            continue
        lead = 2**fraction if exponent else 0
        power = max(exponent, 1) - bias - fraction
        assert number == sign * math.ldexp(lead + rest, power)


@settings(deadline=None)
@given(
    w=hnp.arrays("f4", hnp.array_shapes(min_dims=0, max_dims=3, max_side=9)),
    most=st.integers(1, 40),
)
def test_column_order_and_pieces_of_any_size(tmp_path_factory, w, most):
    raw = b"".join(encode({"w": w}, {}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safetensors_file, "PIECE", most)
        with opened(tmp_path_factory.mktemp("file"), raw) as file:
            tensor = read_header(file)[0]["w"]
            rows, columns = tensor.read(), tensor.read(order="F")
            assert identical({"": rows, "f": columns}, {"": w, "f": w})
            assert tensor.equals(w) == (not np.isnan(w).any())
            assert not tensor.equals(w[..., None])
            if w.size:
                w.flat[most % w.size] = 3 if w.flat[most % w.size] == 2 else 2
                assert not tensor.equals(w)
    assert columns.flags.f_contiguous and rows.flags.c_contiguous


@pytest.mark.parametrize("kind", ["F64", "F32", "F16", "BF16"])
def test_reading_holds_the_array_and_one_piece(tmp_path, kind):
    n, item = 4 * PIECE, np.dtype(DTYPES[kind]).itemsize
    data = bytes(item * n)
    header = {"w": entry(kind, (1024, n // 1024), 0, len(data))}
    with opened(tmp_path, with_header(header, data)) as file:
        tensor = read_header(file)[0]["w"]
        for order in "CF":
            tracemalloc.start()
            array = tensor.read(widen=True, order=order, finite=True)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert array.nbytes <= peak < array.nbytes + 3 * max(4, item) * PIECE


@pytest.mark.parametrize("order", "CF")
def test_writing_holds_one_piece_or_one_array_of_another_order(order):
    flat = {str(i): np.ones((1024, PIECE // 256), order=order) for i in range(3)}
    tracemalloc.start()
    for part in encode(flat, {}):
        assert len(part) <= 8 * PIECE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 8 * PIECE + (order == "F") * 2 * flat["0"].nbytes


@pytest.mark.parametrize("at", [0, PIECE - 1, PIECE, PIECE + 9])
@pytest.mark.parametrize("number", [np.nan, -np.inf])
@pytest.mark.parametrize("kind", ["F32", "BF16"])
def test_numbers_that_are_not_finite_are_refused_when_asked(tmp_path, at, number, kind):
    w = np.zeros(PIECE + 10, "f4")
    w[at] = number
    data = w.tobytes() if kind == "F32" else (w.view("u4") >> 16).astype("u2").tobytes()
    raw = with_header({"w": entry(kind, w.shape, 0, len(data))}, data)
    with opened(tmp_path, raw) as file:
        tensor = read_header(file)[0]["w"]
        np.testing.assert_array_equal(tensor.read(), w)
        with pytest.raises(ValueError, match=r"w in .*some.safetensors holds NaN"):
            tensor.read(finite=True)


@pytest.mark.parametrize("dtype", ["S3", "O", "M8[s]", "c16"])
def test_types_that_the_format_does_not_have(dtype):
    with pytest.raises(ValueError, match=r"w is .*: safetensors has no such type"):
        list(encode({"w": np.zeros(3, dtype)}, {}))
