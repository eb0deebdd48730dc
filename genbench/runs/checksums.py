"""CRC-32C, the checksum of the records in an event file, computed by NumPy for large records.

TensorBoard's own loops over bytes in Python, and takes longer than it takes to draw a picture.
"""

import numpy as np
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import CRC_TABLE, crc32c

LARGE = 8192  # bytes from which NumPy is faster
PIECES = 256  # that are read side by side
TABLE = np.array(CRC_TABLE, np.uint32)  # the remainder of each byte


def masked_crc32c(data: bytes) -> int:
    """The checksum as records hold it: rotated and shifted, as it may be checksummed again."""
    crc = crc32c(data) if len(data) < LARGE else crc32c_of_large(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c_of_large(data: bytes) -> int:
    """The checksum of at least 4 bytes.

    A remainder is linear in the data and in what it was before them, with bits as numbers modulo 2.
    So the remainders of pieces of equal length can be computed together, each as if nothing came
    before it. What does come before is advanced by the length of a piece, bit by bit: how, is
    found in 32 pieces of zeros, before each of which the remainder is a single bit.
    """
    length = -(-len(data) // PIECES)
    padded = np.zeros(PIECES * length, np.uint8)  # zeros first, after which the remainder is 0
    start = len(padded) - len(data)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 0xFF  # the same as a remainder of ones before the data
    columns = np.zeros((length, PIECES + 32), np.uint8)
    columns[:, :PIECES] = padded.reshape(PIECES, length).T
    remainders = np.zeros(PIECES + 32, np.uint32)
    remainders[PIECES:] = 1 << np.arange(32)
    for column in columns:
        remainders = TABLE[(remainders ^ column) & 0xFF] ^ (remainders >> 8)
    advanced = remainders[PIECES:].tolist()
    crc = 0
    for remainder in remainders[:PIECES].tolist():
        before, crc = crc, remainder
        for bit in range(32):
            if before >> bit & 1:
                crc ^= advanced[bit]
    return crc ^ 0xFFFFFFFF
