"""A folder of the user's own pictures, of any size, mode and number, as bytes of one shape.

It is ours because torchvision's ImageFolder wants class folders, opens pictures one by one in the
training loop, and does not mention the files it leaves out. Pictures are decoded by Pillow:
torchvision's `decode_image` gives the same bytes for JPEG, but reads no BMP, PPM or TIFF, drops
transparency without a background, and cannot be interrupted.
"""

import warnings
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageMode, ImageOps, UnidentifiedImageError

from genbench.config.picture_headers import in_short, path_below, unreadable, why_bad
from genbench.config.picture_layout import picture_layout, require_filled
from genbench.data.preprocessing import require_room_for_images
from genbench.data.types import RawDataset
from genbench.settings.datasets import ImageFolderSettings
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.pictures import opened_picture
from genbench.utils.signals import check

DEPTH = (0, 65535)  # values of 16 bits


def image_folder(s: ImageFolderSettings) -> RawDataset:
    """Pictures in `root`, labelled by their class folders, whose names are in alphabetical order.

    `root` holds train/ and test/, or else all pictures, of which `test_size` are set aside. Raises
    UserError for another layout (see `picture_layout`), and for files that cannot be read unless
    `skip_bad` leaves them out.
    """
    root = Path(s.root)
    layout = picture_layout(root)
    for folder in layout.repeated:
        echo(
            f"warning: {path_below(folder, folder.parent)} in {folder.parent} is a link to a folder"
            " that was read already; skipped"
        )
    pictures, bad = _pictures(layout.files, root, s)
    if bad:
        _report_bad(bad, len(pictures) + len(bad), root, s)
    _to_bytes(pictures, s)
    names = layout.classes
    splits = []
    for folder, by_class in layout.splits.items():
        readable = {name: [f for f in by_class[name] if f in pictures] for name in by_class}
        require_filled(readable, folder, "holds no pictures that can be read")
        splits.append([(f, names.index(name)) for name in readable for f in readable[name]])
    x = _stacked([pictures[file] for split in splits for file, _ in split])
    y = torch.tensor([label for split in splits for _, label in split]) if names != [""] else None
    n = len(splits[0])
    two = len(splits) > 1
    return RawDataset(
        x[:n],
        None if y is None else y[:n],
        x[n:] if two else None,
        y[n:] if two and y is not None else None,
        unit=True,
        scale=1 / 255,
        names=() if y is None else tuple(names),
        skipped=tuple(bad),
    )


def _pictures(
    files: list[Path], root: Path, s: ImageFolderSettings
) -> tuple[dict[Path, np.ndarray], list[str]]:
    """All pictures by their file, as [H, W, C], and the files that are none, each with the reason.

    Raises UserError that names two pictures of different size, or a file if there are no pictures.
    """
    pictures: dict[Path, np.ndarray] = {}
    bad: list[str] = []
    known_format = False
    if s.resize is not None:
        require_room_for_images(len(files), s.channels if s.channels == 3 else 1, s.resize, 1)
    for file in files:
        check()
        try:
            picture = _picture(file, s)
        except Exception as error:  # a damaged picture may make its decoder raise anything
            known_format = known_format or not isinstance(error, UnidentifiedImageError)
            bad.append(why_bad(file, error, root))
            continue
        pictures[file] = picture
        first = next(iter(pictures))
        # At once, because a folder of photographs in full size may exceed the memory.
        if picture.shape[:2] != pictures[first].shape[:2]:
            raise _size_error(first, file, pictures, files, root)
    if not pictures and not known_format:
        what = f"holds no pictures, but files such as {path_below(files[0], root)}"
        raise UserError("dataset.root", what, root, "give a folder of pictures")
    return pictures, bad


def _size_error(
    first: Path, other: Path, pictures: dict[Path, np.ndarray], files: list[Path], root: Path
) -> UserError:
    sizes = [pictures[file].shape[:2] for file in (first, other)]
    shown = [f"{path_below(file, root)} {h}x{w}" for file, (h, w) in zip((first, other), sizes)]
    h, w = _commonest_size(files) or sizes[0]
    what = f"pictures differ in height x width: {', '.join(shown)}"
    return UserError("dataset.resize", what, "null", f"'dataset.resize=[{h},{w}]'")


def _report_bad(bad: list[str], n: int, root: Path, s: ImageFolderSettings) -> None:
    """Warn of files that are left out, or raise UserError unless `skip_bad` allows it."""
    if not s.skip_bad:
        raise unreadable(bad, n, root)
    echo(f"warning: {in_short(bad, n)}; left out, as dataset.skip_bad=true says")


def _commonest_size(files: list[Path]) -> tuple[int, int] | None:
    """The height and width that most of up to 1,000 pictures have; None if none can be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    for file in files[:: 1 + len(files) // 1000]:
        check()
        with suppress(Exception), opened_picture(file) as image:  # a damaged picture has no vote
            sizes[image.height, image.width] += 1
    return sizes.most_common(1)[0][0] if sizes else None


def _to_bytes(pictures: dict[Path, np.ndarray], s: ImageFolderSettings) -> None:
    """Turn 16-bit pictures into bytes, in place.

    `levels` are black and white, by default the least and the largest value: cameras, microscopes
    and depth sensors use a small part of 16 bits, which would all look black.
    """
    deep = [file for file, picture in pictures.items() if picture.dtype == np.uint16]
    if not deep:
        if s.levels != "auto":
            echo("warning: dataset.levels has no effect: none of the pictures has 16 bits")
        return
    low, high = _range(pictures[file] for file in deep) if s.levels == "auto" else s.levels
    if s.levels == "auto":
        echo(
            f"16-bit pictures: {low} is black and {high} is white, the least and the largest value;"
            f" dataset.levels=[{DEPTH[0]},{DEPTH[1]}] keeps the whole range"
        )
    for file in deep:
        shares = (pictures[file].astype(np.float32) - low) / (high - low)
        pictures[file] = (255 * shares.clip(0, 1)).round().astype(np.uint8)


def _range(pictures: Iterable[np.ndarray]) -> tuple[int, int]:
    """The least and the largest value of 16-bit pictures; the whole range if those are the same."""
    ends = [(int(picture.min()), int(picture.max())) for picture in pictures]
    low, high = min(least for least, _ in ends), max(largest for _, largest in ends)
    return (low, high) if low < high else DEPTH


def _stacked(pictures: list[np.ndarray]) -> torch.Tensor:
    """Pictures [H, W, C] of one size as bytes [N, C, H, W]; grey ones fill every channel."""
    h, w = pictures[0].shape[:2]
    x = np.empty((len(pictures), max(picture.shape[2] for picture in pictures), h, w), np.uint8)
    for i, picture in enumerate(pictures):
        x[i] = picture.transpose(2, 0, 1)
    return torch.from_numpy(x)


def _picture(file: Path, s: ImageFolderSettings) -> np.ndarray:
    """One file as bytes [H, W, C], or with 16 bits, upright, with transparent parts on white.

    C is 1 for a grey picture unless `channels` is 3.
    """
    with warnings.catch_warnings():
        # A picture that Pillow only warns of is read, also under python -W error.
        warnings.simplefilter("ignore")
        with opened_picture(file) as opened:
            image = ImageOps.exif_transpose(opened)
            image.load()
    if image.mode == "F":
        raise ValueError("floating-point values have no agreed white")
    if image.mode.startswith("I"):
        return _sixteen_bits(image, s)
    grey = ImageMode.getmode(image.mode).basemode == "L"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if s.channels == 1 or (grey and s.channels == "auto") else "RGB")
    if s.resize:
        image = image.resize(s.resize[::-1])
    return np.asarray(image).reshape(image.height, image.width, -1)


def _sixteen_bits(image: Image.Image, s: ImageFolderSettings) -> np.ndarray:
    """A grey picture of 16 bits [H, W, C], which `convert` would clip at 255."""
    values = np.asarray(image).astype(np.float32)
    if values.min() < DEPTH[0] or values.max() > DEPTH[1]:
        raise ValueError("values are beyond 16 bits")
    if s.resize:
        resized = np.asarray(Image.fromarray(values).resize(s.resize[::-1]))
        values = resized.clip(values.min(), values.max())  # bicubic interpolation overshoots edges
    channels = 3 if s.channels == 3 else 1
    return np.repeat(values.round().astype(np.uint16)[..., None], channels, axis=2)
