"""A folder of one's own pictures, of any size, mode and number, as bytes of one shape."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageMode, ImageOps, UnidentifiedImageError

from .data import Source
from .errors import UserError
from .settings import Settings

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none that would start another program, as EPS does


def image_folder(s: Settings) -> Source:
    """Pictures in `root`, labelled by the folders they are in, in the order of their names.

    `root` holds train/ and test/, or else all pictures, of which `test_size` are set aside. Each of these holds
    pictures, or a folder for every class. Raises UserError for a folder that is laid out otherwise or holds other files.
    """
    root = Path(s.root)
    halves = [half for half in (root / "train", root / "test") if half.is_dir()]
    if len(halves) == 1:
        fix = f"add the other, or give dataset.root={halves[0]} to split it by dataset.test_size"
        raise UserError("dataset.root", f"has {halves[0].name}/, but not both train/ and test/", root, fix)
    try:
        parts = [_by_class(folder) for folder in halves or [root]]
    except OSError as error:
        raise UserError("dataset.root", f"cannot be read: {error.strerror}", error.filename, "give a folder of pictures") from error
    classes = sorted({name for part in parts for name in part})
    if "" in classes and len(classes) > 1:
        raise UserError("dataset.root", "has class folders in only one of train/ and test/", root, "give both, or neither")
    x = _pictures([file for part in parts for files in part.values() for file in files], root, s)
    y = torch.tensor([classes.index(name) for part in parts for name, files in part.items() for _ in files])
    sizes = [sum(map(len, part.values())) for part in parts]
    (x, y), (test_x, test_y) = [*zip(x.split(sizes), y.split(sizes)), (None, None)][:2]
    if classes == [""]:
        y = test_y = None
    return Source(x, y, test_x, test_y, unit=True, scale=1 / 255, names=() if y is None else tuple(classes))


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """The files of every class folder by its name; by an empty name those of a folder without class folders."""
    entries = _visible(folder)
    folders = [entry for entry in entries if entry.is_dir()]
    if folders and len(folders) < len(entries):
        file = next(entry for entry in entries if not entry.is_dir())
        fix = "move the files into class folders, or hide them by a leading dot"
        raise UserError("dataset.root", f"holds files such as {file.name} beside folders such as {folders[0].name}/", folder, fix)
    found = {entry.name: list(_files(entry)) for entry in folders} or {"": entries}
    for name, files in found.items():
        if not files:
            raise UserError("dataset.root", "holds no pictures", folder / name, "add some, or remove the folder")
    return found


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _files(folder: Path) -> Iterator[Path]:
    for entry in _visible(folder):
        if entry.is_dir():
            yield from _files(entry)
        else:
            yield entry


def _pictures(files: list[Path], root: Path, s: Settings) -> torch.Tensor:
    """All files as bytes [N, C, H, W]; UserError naming those that are no pictures, or two that differ in size."""
    found: dict[Path, np.ndarray] = {}
    bad = []
    for file in files:
        name = file.relative_to(root)
        try:
            found[name] = _picture(file, s)
        except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
            bad.append(f"{name} ({'unknown format' if isinstance(error, UnidentifiedImageError) else error})")
            continue
        first = next(iter(found))
        (h, w), (h2, w2) = found[first].shape[:2], found[name].shape[:2]
        if (h, w) != (h2, w2):  # told at once, since a folder of photographs in full size may exceed the memory
            what = f"pictures differ in height x width: {first} {h}x{w}, {name} {h2}x{w2}"
            raise UserError("dataset.resize", what, "null", f"dataset.resize=[{h},{w}]")
    if all(entry.endswith("(unknown format)") for entry in bad) and not found:
        raise UserError("dataset.root", f"holds no pictures, but files such as {files[0].name}", root, "give a folder of pictures")
    if bad:
        more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
        fix = "remove them, or hide them by a leading dot"
        raise UserError("dataset.root", f"{len(bad)} of {len(files)} files cannot be read: {', '.join(bad[:10])}{more}", root, fix)
    channels = max(picture.shape[2] for picture in found.values())
    x = np.empty((len(found), channels, h, w), np.uint8)
    for i, picture in enumerate(found.values()):
        x[i] = picture.transpose(2, 0, 1)  # grey repeats itself in every channel
    return torch.from_numpy(x)


def _picture(file: Path, s: Settings) -> np.ndarray:
    """One file as bytes [H, W, C], upright, transparent parts on white; C is 1 for a grey picture unless `channels` is 3."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=FORMATS) as opened:
            image = _eight_bits(ImageOps.exif_transpose(opened))
    grey = ImageMode.getmode(image.mode).basemode == "L"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if s.channels == 1 or (grey and s.channels == "auto") else "RGB")
    if s.resize:
        image = image.resize(s.resize[::-1])
    return np.asarray(image).reshape(image.height, image.width, -1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey values, which `convert` would clip at 255."""
    if image.mode == "F":
        raise ValueError("floating-point values have no agreed white")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("values are beyond 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
