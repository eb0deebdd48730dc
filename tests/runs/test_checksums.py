"""The checksum of large records is that of TensorBoard."""

import pytest
import torch
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c as expected

from genbench.runs.checksums import LARGE, PIECES, crc32c_of_large, masked_crc32c
from genbench.utils.rng import generator


@pytest.mark.parametrize("size", [4, 5, PIECES - 1, PIECES, PIECES + 1, LARGE, 3 * LARGE + 7])
def test_pieces_join_to_the_checksum_of_the_whole(size):
    data = torch.randint(256, (size,), generator=generator(0, size), dtype=torch.uint8)
    data = data.numpy().tobytes()
    assert crc32c_of_large(data) == crc32c(data)
    assert masked_crc32c(data) == expected(data)
