"""The checksum CRC-32C of bytes and arrays, fast without a compiled library.

TensorFlow keeps one for each tensor. A loop over GPT-2's 500 MB in plain Python takes
a minute, and this takes less than a second. Chapter: gpt2.
Source: RFC 3720, appendix B.4 (the polynomial, and the examples of the tests).
"""

import functools

import numpy as np

POLYNOMIAL = 0x82F63B78  # with the constant term in bit 31
LANES = 4096  # words of 32 bits that are summed side by side


def crc32c(data):
    """The CRC-32C of bytes or of an array, about 1 GB a second.

    A CRC is the remainder of a division of polynomials with coefficients 0 and 1, and
    remainders add up. So the words are dealt out to `LANES` sums: sum j, shifted past a
    row of words by two table look-ups, takes word j of the next row.
    """
    data = np.frombuffer(data, np.uint8)
    row, first = 4 * LANES, len(data) % (4 * LANES)
    sums = np.zeros(row, np.uint8)  # zeros in front change no remainder
    sums[row - first :] = data[:first]
    sums = sums.view("<u4")
    low, high, places = _tables()
    for start in range(first, len(data), row):
        halves = sums.view("<u2")
        sums = low.take(halves[::2], mode="clip")  # "clip" checks no bounds
        sums ^= high.take(halves[1::2], mode="clip")
        sums ^= data[start : start + row].view("<u4")
    remainder = int(np.bitwise_xor.reduce(_times(sums, places)))
    return remainder ^ _times(0xFFFFFFFF, _shift(len(data))) ^ 0xFFFFFFFF


def masked_crc32c(data):
    """The 4 bytes that TensorFlow stores of a CRC: turned, and a constant added, since
    the CRC of bytes that hold a CRC themselves says little."""
    crc = crc32c(data)
    turned = (crc >> 15 | crc << 17) + 0xA282EAD8
    return (turned & 0xFFFFFFFF).to_bytes(4, "little")


@functools.cache
def _tables():
    """The halves of a word shifted by a row, and each lane's distance from the end."""
    words, row = np.arange(1 << 16, dtype=np.uint32), _shift(4 * LANES)
    places = np.array([_shift(4)], np.uint32)
    while len(places) < LANES:
        places = np.append(_times(places, _shift(4 * len(places))), places)
    return _times(words, row), _times(words << 16, row), places


def _shift(n_bytes):
    """The polynomial x ** (8 * n_bytes), by repeated squaring."""
    result, square = 1 << 31, 1 << 23  # 1 and x ** 8
    while n_bytes:
        result = _times(result, square) if n_bytes & 1 else result
        square, n_bytes = _times(square, square), n_bytes >> 1
    return result


def _times(a, b):
    """The remainder of the product of polynomials, numbers or arrays of uint32."""
    total = a & 0
    for bit in range(31, -1, -1):
        total = total ^ a * (b >> bit & 1)
        a = a >> 1 ^ (a & 1) * POLYNOMIAL
    return total
