"""The axes of arrays of points: which there are, and which an array has by its shape.

Nothing here imports torch, as settings depend on whether points are images before a run begins.
"""

from collections.abc import Sequence

from genbench.utils.errors import UserError

# The axes of a point by name, and where each goes: as NumPy's transpose of [n, *axes] takes them.
AXES: dict[str, tuple[int, ...]] = {
    "d": (0, 1),
    "l": (0, 1),
    "cl": (0, 1, 2),
    "lc": (0, 2, 1),
    "hw": (0, 1, 2),
    "chw": (0, 1, 2, 3),
    "hwc": (0, 3, 1, 2),
}
KIND_OF_AXES = {
    "d": "vectors",
    "l": "signals",
    "cl": "signals",
    "lc": "signals",
}  # all others are images
WITHOUT_CHANNEL = ("l", "hw")  # to which an axis of one channel is added
IN_WORDS = {"d": "features", "l": "length", "c": "channels", "h": "height", "w": "width"}
CHANNELS = (1, 3, 4)  # of images whose axes are not named
MUCH_LONGER = 4  # times the other axis, as the length of a signal is


def named_axes(axes: str) -> str:
    """The axes of an array of points in words: `[n, channels, length]`."""
    return f"[{', '.join(['n', *(IN_WORDS[axis] for axis in axes)])}]"


def guessed_axes(shape: Sequence[int], are_bytes: bool, key: str = "dataset.axes") -> str:
    """The axes of arrays of this shape [n, ...], a key of `AXES`.

    Two axes of a point are those of a signal if one is much longer than the other, else those of a
    grey image. Of three axes, the one of 1, 3 or 4 entries is that of the channels. UserError where
    that does not decide.
    """
    point = tuple(shape[1:])
    if len(point) == 1:
        return "d"
    if len(point) == 2:
        first, second = point
        if are_bytes and 1 not in point:
            return "hw"
        if second >= MUCH_LONGER * first:
            return "cl"
        return "lc" if first >= MUCH_LONGER * second else "hw"
    if len(point) == 3 and point[0] in CHANNELS:
        return "chw"
    if len(point) == 3 and point[2] in CHANNELS:
        return "hwc"
    what = f"cannot be guessed of an array [{', '.join(map(str, shape))}]"
    raise UserError(key, what, fix=f"name the axes of a point, such as {key}=chw")


def require_axes(axes: str, shape: Sequence[int], key: str = "dataset.axes") -> None:
    """UserError unless an array of this shape has these axes."""
    if len(shape) != len(AXES[axes]):
        what = f"names {len(axes)} axes of a point, and the array is {list(shape)}"
        raise UserError(key, what, axes, f"leave it out, or {key}={_fitting(len(shape))}")


def _fitting(dimensions: int) -> str:
    found = [name for name, order in AXES.items() if len(order) == dimensions]
    return " or ".join(found) or "one of arrays with a shape [n, ...]"
