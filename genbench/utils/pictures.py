"""Opening pictures that are not trusted: any file may claim to be one, of any size."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.utils.files import opened
from genbench.utils.signals import check

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # EPS would start another program
HEADER_READS = 100_000  # calls of `read` until a header is known; a real one takes hundreds


class PillowWarnings:
    """Filters for the warnings of Pillow, while at least one thread reads pictures: an enormous
    picture is an error, and other warnings are ignored, also under python -W error.

    They are set once for all threads, because Python's filters belong to the whole process.
    """

    def __init__(self) -> None:
        self.lock, self.readers, self.filters = threading.Lock(), 0, ExitStack()

    @contextmanager
    def filtered(self) -> Iterator[None]:
        """The filters are set at least until this ends."""
        from PIL import Image  # heavy, and most commands open no picture

        with self.lock:
            self.readers += 1
            if self.readers == 1:
                self.filters.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        finally:
            with self.lock:
                self.readers -= 1
                if not self.readers:
                    self.filters.close()


PILLOW_WARNINGS = PillowWarnings()


class PictureFile(io.BufferedReader):
    """A file that stops on request and does not let a decoder search for a header without end.

    Pillow skips bytes that it does not understand one by one.
    """

    reads_left: int | None = HEADER_READS  # None: no limit

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises Interrupted if the program is asked to stop, ValueError if reads are used up."""
        check()
        if self.reads_left is not None:
            self.reads_left -= 1
            if self.reads_left < 0:
                raise ValueError("it has no header of a picture")
        return super().read(size)


@contextmanager
def opened_picture(path: Path, formats: tuple[str, ...] = FORMATS) -> Iterator["Image.Image"]:
    """A picture of which only the header has been read.

    Raises ValueError for a file that is too large and for what is no regular file, such as a named
    pipe, which would be waited for. Pillow raises anything for a file that it does not understand.
    """
    from PIL import Image  # heavy, and most commands open no picture

    if not path.is_file():
        raise ValueError("no regular file")
    # The most pixels that Pillow accepts without a warning, of four bytes each, and metadata.
    largest = 4 * (Image.MAX_IMAGE_PIXELS or 0) + (1 << 24)
    with PictureFile(io.FileIO(opened(path, links=True))) as file:
        size = file.seek(0, io.SEEK_END)
        if size > largest:
            raise ValueError(f"it has {size:,} bytes, more than {largest:,}")
        file.seek(0)
        with _header(file, formats) as image:
            file.reads_left = None
            yield image


@contextmanager
def opened_content(content: bytes) -> Iterator["Image.Image"]:
    """A picture in memory of which only the header has been read; raises anything, as Pillow does
    for what it does not understand.
    """
    with _header(io.BytesIO(content), FORMATS) as image:
        yield image


@contextmanager
def opened_part(path: Path, box: tuple[int, int, int, int]) -> Iterator["Image.Image"]:
    """A part of a picture, from left and upper to right and lower; raises what `opened_picture`
    does.
    """
    with opened_picture(path) as image:
        yield image.crop(box)


def _header(file: "PictureFile | io.BytesIO", formats: tuple[str, ...]) -> "Image.Image":
    """The picture without its pixels. Pillow raises an error if it has very many of those.

    Pillow itself allows twice as many, with a warning.
    """
    from PIL import Image  # heavy, and most commands open no picture

    with PILLOW_WARNINGS.filtered():
        return Image.open(file, formats=formats)
