"""Pictures one after the other in a file or in memory, which become an array of one shape."""

from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import numpy as np

from genbench.utils.signals import check


class Ends(NamedTuple):
    """The values of 16-bit pictures that are black and white, or the least and the largest."""

    low: int
    high: int


@dataclass
class PictureStack:
    """Pictures of one height and width, appended to a stream as they come, each [C, H, W].

    They may have one channel or three, and 8 or 16 bits: `unified` makes all of them alike.

    size   height and width
    kinds  of each picture: the number of its channels, and of bytes for a value
    ends   of all 16-bit pictures; None if there are none
    """

    file: BinaryIO
    size: tuple[int, int] = (0, 0)
    kinds: list[tuple[int, int]] = field(default_factory=list)
    ends: Ends | None = None

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def channels(self) -> int:
        """The most channels that a picture has."""
        return max(channels for channels, _ in self.kinds)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[N, C, H, W] of the array that they are if they are uniform."""
        return (len(self), self.channels, *self.size)

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        """The type of the values of the array that they are if they are uniform."""
        return np.uint8 if self.ends is None else np.uint16

    @property
    def uniform(self) -> bool:
        """Whether all pictures are bytes of equally many channels."""
        return self.ends is None and len({*self.kinds}) == 1

    def add(self, picture: np.ndarray) -> None:
        """Append a picture [H, W, C] of the size of those before it."""
        height, width, channels = picture.shape
        self.size = (height, width)
        self.kinds.append((channels, picture.itemsize))
        if picture.dtype == np.uint16:
            low, high = int(picture.min()), int(picture.max())
            if self.ends is not None:
                low, high = min(low, self.ends.low), max(high, self.ends.high)
            self.ends = Ends(low, high)
        self.file.write(np.ascontiguousarray(picture.transpose(2, 0, 1)).data)

    def unified(self, file: BinaryIO, levels: Ends) -> "PictureStack":
        """The same pictures in another stream, where grey ones fill every channel.

        If some have 16 bits, all values become whole numbers of 16 bits, from 0 for the lower level
        to the difference of the levels, and 8 bits are spread over these.
        """
        unified = PictureStack(file, self.size)
        height, width = self.size
        most = self.channels
        self.file.seek(0)
        for channels, depth in self.kinds:
            check()
            content = self.file.read(channels * height * width * depth)
            picture = np.frombuffer(content, np.uint8 if depth == 1 else np.uint16)
            picture = picture.reshape(channels, height, width)
            if self.ends is not None:
                picture = _between(levels, picture)
            unified.add(np.broadcast_to(picture, (most, height, width)).transpose(1, 2, 0))
        return unified


def _between(levels: Ends, picture: np.ndarray) -> np.ndarray:
    """The values of a picture of 8 or 16 bits above the lower level, at most up to the higher."""
    most = levels.high - levels.low
    if picture.dtype == np.uint8:
        return (picture.astype(np.float32) * (most / 255)).round().astype(np.uint16)
    return picture.clip(*levels) - np.uint16(levels.low)
