"""Pictures of any origin as one array. Where they are many, or would take much of the memory, they
are prepared once in a file of the cache folder.

It is ours because torchvision's loaders open pictures one by one in the training loop, and do not
mention the files they leave out.
"""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from genbench.config.picture_headers import in_short
from genbench.data.lazy import Values
from genbench.data.picture_decoding import MANY_PICTURES, decoded_pictures
from genbench.data.picture_stack import Ends, PictureStack
from genbench.data.pictures import (
    DEPTH,
    Expected,
    Opener,
    PictureForm,
    PixelSize,
    Undecodable,
    expected,
    inferred_size,
)
from genbench.data.prepared import Written, fits, force_to_disk, prepared
from genbench.data.preprocessing import require_room_for_images
from genbench.settings.fields import is_auto
from genbench.settings.picture_sets import PictureSettings
from genbench.utils.console import echo, shown_progress
from genbench.utils.errors import UserError
from genbench.utils.files import temporary_of
from genbench.utils.signals import check

HEADERS = 1000  # that are read to learn what most pictures are like
TORCH_TYPES = {np.uint8: torch.uint8, np.uint16: torch.uint16}


class PictureSource(Protocol):
    """Pictures that are opened one by one, in a fixed order.

    openers       functions that open them, by which each is decoded
    by_processes  whether openers can be pickled at little cost
    """

    openers: list[Opener]
    by_processes: bool

    def name(self, i: int) -> str:
        """What a message calls a picture, such as its path."""

    def origin(self) -> Mapping[str, Any]:
        """All that the pictures are a function of, as JSON."""

    def facts(self) -> Mapping[str, Any]:
        """What is known of the pictures once all were opened, as JSON."""

    def unreadable(self, bad: Mapping[int, Undecodable]) -> UserError:
        """The error for pictures that cannot be read."""


class Pictures(NamedTuple):
    """Pictures that were read.

    x      values [N, C, H, W], whole numbers, without those of bad pictures
    scale  what they are multiplied by to be from 0 to 1
    bad    positions of what is no picture, with its name and the reason
    facts  of the source
    how    what was done with their sizes and values, for the line that reports it
    """

    x: Values
    scale: float
    bad: dict[int, str]
    facts: Mapping[str, Any]
    how: tuple[str, ...]


class _Read(NamedTuple):
    """What was noticed while pictures were decoded; `ends` as `PictureStack.ends`."""

    bad: dict[int, str]
    ends: Ends | None
    facts: Mapping[str, Any]


def read_pictures(source: PictureSource, s: PictureSettings) -> Pictures:
    """All pictures of a source in one size.

    Raises UserError for pictures that cannot be read unless `skip_bad` leaves them out, and for
    pictures of several sizes where `resize` is null.
    """
    count = len(source.openers)
    seen = expected(source.openers[:: 1 + count // HEADERS])
    form = PictureForm(_size(seen, s), s.channels)
    size = count * seen.bytes_each(form)
    x: Values
    if count < MANY_PICTURES and fits(size * (4 if s.dequantize is True else 1)):
        if form.size is not None and not is_auto(s.resize):
            require_room_for_images(count, s.channels if s.channels == 3 else 1, [*form.size], 1)
        x, found = _in_memory(source, seen, form, s)
    else:
        x, found = _in_file(source, seen, form, size, s)
    if found.bad:
        shown = in_short([*found.bad.values()], count)
        echo(f"warning: {shown}; left out, as dataset.skip_bad=true says")
    if found.ends is None and s.levels != "auto":
        echo("warning: dataset.levels has no effect: none of the pictures has 16 bits")
    most = 255 if found.ends is None else _span(_levels(found.ends, s))
    how = (*_stretched(seen, form), *_range_of_levels(found.ends, s))
    return Pictures(x, 1 / most, found.bad, found.facts, how)


def _size(seen: Expected, s: PictureSettings) -> PixelSize | None:
    """The size to give to all pictures; None leaves them as they are."""
    if not is_auto(s.resize):
        return None if s.resize is None else (s.resize[0], s.resize[1])
    return inferred_size(seen.sizes)


def _stretched(seen: Expected, form: PictureForm) -> list[str]:
    """That pictures were stretched, and from which sizes, if they were."""
    if form.size is None or {*seen.sizes} == {form.size}:
        return []
    heights, widths = (sorted({side[axis] for side in seen.sizes}) for axis in (0, 1))
    return [f"stretched from {_range(heights)} x {_range(widths)} pixels (dataset.resize)"]


def _range(sides: list[int]) -> str:
    return f"{sides[0]:,}" if len(sides) == 1 else f"{sides[0]:,} to {sides[-1]:,}"


def _in_memory(
    source: PictureSource, seen: Expected, form: PictureForm, s: PictureSettings
) -> tuple[torch.Tensor, _Read]:
    """The pictures [N, C, H, W] that can be read."""
    stack = PictureStack(io.BytesIO())
    found = _read(stack, source, seen, form, s)
    if not stack.uniform:
        stack = stack.unified(io.BytesIO(), _levels(stack.ends, s))
    assert isinstance(stack.file, io.BytesIO)
    values = np.frombuffer(stack.file.getbuffer(), stack.dtype).reshape(stack.shape)
    return torch.from_numpy(values), found


def _in_file(
    source: PictureSource, seen: Expected, form: PictureForm, size: int, s: PictureSettings
) -> tuple[Values, _Read]:
    """The same from the cache folder, for as long as the origin of the pictures is the same. They
    stay there if they would take much of the memory.
    """

    def make(folder: Any) -> Written:
        path, mixed = (temporary_of(folder / name) for name in ("values.bin", "mixed.bin"))
        with open(path, "x+b") as file, open(mixed, "x+b") as other:
            stack = PictureStack(file)
            found = _read(stack, source, seen, form, s)
            if not stack.uniform:
                path, stack = mixed, stack.unified(other, _levels(stack.ends, s))
            force_to_disk(stack.file)
        bad = [[i, text] for i, text in found.bad.items()]
        facts = {"bad": bad, "ends": found.ends, "source": dict(found.facts)}
        return Written(path, stack.shape, TORCH_TYPES[stack.dtype], facts)

    settings = {name: getattr(s, name) for name in ("channels", "levels", "skip_bad")}
    origin = {**source.origin(), "resize": form.size, **settings}
    values, facts = prepared(origin, size, f"{len(source.openers):,} pictures", make)
    ends = None if facts["ends"] is None else Ends(*facts["ends"])
    x = values[:] if fits(values.nbytes * (4 if s.dequantize is True else 1)) else values
    return x, _Read(dict(facts["bad"]), ends, facts["source"])


def _read(
    stack: PictureStack,
    source: PictureSource,
    seen: Expected,
    form: PictureForm,
    s: PictureSettings,
) -> _Read:
    """Add all pictures to a stack.

    Raises UserError that names two pictures of different size, what is no picture unless `skip_bad`
    allows some, and if there are no pictures.
    """
    count, bytes_each = len(source.openers), seen.bytes_each(form)
    bad: dict[int, Undecodable] = {}
    first = 0
    pictures = decoded_pictures(source.openers, bytes_each, form, source.by_processes)
    with shown_progress("preparing pictures", count) as advance:
        for i, picture in enumerate(pictures):
            check()
            advance()
            if isinstance(picture, Undecodable):
                bad[i] = picture
                continue
            if not len(stack):
                first = i
            # At once, because a folder of photographs in full size may exceed the memory.
            elif picture.shape[:2] != stack.size:
                raise _size_error(source, (first, i), (stack.size, picture.shape[:2]), seen)
            stack.add(picture)
    if bad and not (s.skip_bad and len(stack)):
        raise source.unreadable(bad)
    shown = {i: described(source.name(i), one) for i, one in bad.items()}
    return _Read(shown, stack.ends, source.facts())


def described(name: str, bad: Undecodable) -> str:
    """What is no picture and why, in a few words."""
    return f"{name} ({'unknown format' if bad.is_unknown else bad.reason})"


def _size_error(
    source: PictureSource, places: tuple[int, int], sizes: tuple[Any, Any], seen: Expected
) -> UserError:
    shown = [f"{source.name(i)} {h}x{w}" for i, (h, w) in zip(places, sizes, strict=True)]
    h, w = seen.commonest or sizes[0]
    what = f"pictures differ in height x width: {', '.join(shown)}"
    fix = f"dataset.resize=auto, or 'dataset.resize=[{h},{w}]'"
    return UserError("dataset.resize", what, "null", fix)


def _levels(ends: Ends | None, s: PictureSettings) -> Ends:
    """The values of 16-bit pictures that are black and white.

    By default they are the least and the largest value, unless those are the same: cameras,
    microscopes and depth sensors use a small part of 16 bits, which would all look black.
    """
    if s.levels != "auto":
        return Ends(*s.levels)
    return ends if ends is not None and ends.low < ends.high else Ends(*DEPTH)


def _span(levels: Ends) -> int:
    return levels.high - levels.low


def _range_of_levels(ends: Ends | None, s: PictureSettings) -> list[str]:
    """Which values of 16-bit pictures are black and white."""
    if ends is None:
        return []
    low, high = _levels(ends, s)
    return [f"16 bits from {low} (black) to {high} (white) (dataset.levels)"]
