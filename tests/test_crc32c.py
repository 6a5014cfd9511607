"""The checksum: the standard's examples, and a slow reference for any bytes."""

import numpy as np
import pytest
from bundle_writer import slow_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import crc32c


def test_the_crc_of_the_standard():
    for data, crc in [  # RFC 3720, appendix B.4; the first is every CRC's own
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ]:
        assert crc32c.crc32c(data) == crc


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 70), st.integers(0, 3))
def test_the_crc_of_any_bytes(data, times, rest):
    data = data * times + data[:rest]
    assert crc32c.crc32c(data) == slow_crc32c(data)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("more", [-4, -1, 0, 1, 4])
def test_the_crc_where_rows_begin_and_end(rows, more):
    size = rows * 4 * crc32c.LANES + more
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    assert crc32c.crc32c(data) == slow_crc32c(data)
