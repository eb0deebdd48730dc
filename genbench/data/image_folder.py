"""A folder of one's own pictures, of any size, mode and number, as bytes of one shape."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageMode, ImageOps, UnidentifiedImageError

from genbench.config.data_folders import opened_picture
from genbench.config.settings import Settings
from genbench.data.types import RawDataset
from genbench.utils.console import echo
from genbench.utils.errors import UserError, plain
from genbench.utils.signals import check
from genbench.utils.text import counted

DEPTH = (0, 65535)  # values of 16 bits


def image_folder(s: Settings) -> RawDataset:
    """Pictures in `root`, labelled by the folders they are in, in the order of their names.

    `root` holds train/ and test/, or else all pictures, of which `test_size` are set aside. Each of these holds
    pictures, or a folder for every class. Raises UserError for a folder that is laid out otherwise or holds other files,
    except that files that cannot be read are left out with `skip_bad`.
    """
    if s.levels != "auto" and s.levels[0] >= s.levels[1]:
        raise UserError(
            "dataset.levels",
            "the first, black, must be below the second, white",
            s.levels,
            "dataset.levels=auto",
        )
    root = Path(s.root)
    halves = [half for half in (root / "train", root / "test") if half.is_dir()]
    if len(halves) == 1:
        fix = f"add the other, or give dataset.root={halves[0]} to split it by dataset.test_size"
        raise UserError(
            "dataset.root", f"has {halves[0].name}/, but not both train/ and test/", root, fix
        )
    try:
        if len({_identity(half) for half in halves}) < len(halves):
            raise UserError(
                "dataset.root",
                "train/ and test/ are the same folder",
                root,
                "give each pictures of its own",
            )
        entered = {_identity(root)}
        parts = [_by_class(folder, entered) for folder in halves or [root]]
    except OSError as error:
        raise UserError(
            "dataset.root",
            f"cannot be read: {error.strerror}",
            error.filename,
            "give a folder of pictures",
        ) from error
    classes = sorted({name for part in parts for name in part})
    if "" in classes and len(classes) > 1:
        raise UserError(
            "dataset.root",
            "has class folders in only one of train/ and test/",
            root,
            "give both, or neither",
        )
    found, bad = _pictures(
        [file for part in parts for files in part.values() for file in files], root, s
    )
    if bad:
        _tell(bad, len(found) + len(bad), root, s)
    parts = [
        {name: [file for file in files if file in found] for name, files in part.items()}
        for part in parts
    ]
    for folder, part in zip(halves or [root], parts):
        _check_filled(part, folder, "holds no pictures that can be read")
    _level(found, s)
    x = _stacked([found[file] for part in parts for files in part.values() for file in files])
    y = torch.tensor(
        [classes.index(name) for part in parts for name, files in part.items() for _ in files]
    )
    sizes = [sum(map(len, part.values())) for part in parts]
    (x, y), (test_x, test_y) = [*zip(x.split(sizes), y.split(sizes)), (None, None)][:2]
    if classes == [""]:
        y = test_y = None
    names = () if y is None else tuple(classes)
    return RawDataset(
        x, y, test_x, test_y, unit=True, scale=1 / 255, names=names, skipped=tuple(bad)
    )


def _by_class(folder: Path, entered: set[tuple[int, int]]) -> dict[str, list[Path]]:
    """The files of every class folder by its name; by an empty name those of a folder without class folders.

    `entered` identifies the folders that were read already: else pictures that a link repeats, under another class or in
    the test part, would be counted twice.
    """
    entered.add(_identity(folder))
    entries = _visible(folder)
    folders = [entry for entry in entries if entry.is_dir()]
    if folders and len(folders) < len(entries):
        file = next(entry for entry in entries if not entry.is_dir())
        fix = "move the files into class folders, or hide them by a leading dot"
        raise UserError(
            "dataset.root",
            f"holds files such as {file.name} beside folders such as {folders[0].name}/",
            folder,
            fix,
        )
    files = {
        entry.name: list(_files(entry, entered)) for entry in sorted(folders, key=Path.is_symlink)
    }  # links last
    found = {name: files[name] for name in sorted(files)} or {"": entries}
    _check_filled(found, folder, "holds no pictures")
    return found


def _check_filled(part: dict[str, list[Path]], folder: Path, what: str) -> None:
    for name, files in part.items():
        if not files:
            raise UserError("dataset.root", what, folder / name, "add some, or remove the folder")


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _files(folder: Path, entered: set[tuple[int, int]]) -> Iterator[Path]:
    """The files in a folder and in those below it, each of which is entered once, as links may lead back to it."""
    if _identity(folder) in entered:
        echo(
            f"warning: {_name(folder, folder.parent)} in {folder.parent} is a folder that was read already, by another way; skipped"
        )
        return
    entered.add(_identity(folder))
    check()
    for entry in _visible(folder):
        if entry.is_dir():
            yield from _files(entry, entered)
        else:
            yield entry


def _identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from all others, whatever it is called."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _pictures(
    files: list[Path], root: Path, s: Settings
) -> tuple[dict[Path, np.ndarray], list[str]]:
    """All pictures by their file, as bytes [H, W, C], and the files that are none, each with the reason.

    Raises UserError naming two that differ in size, or a file where there are no pictures at all.
    """
    found: dict[Path, np.ndarray] = {}
    bad, known = [], False
    for file in files:
        check()
        try:
            found[file] = _picture(file, s)
        except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
            unknown = isinstance(error, UnidentifiedImageError)
            known = known or not unknown
            bad.append(f"{_name(file, root)} ({'unknown format' if unknown else error})")
            continue
        first = next(iter(found))
        (h, w), (h2, w2) = found[first].shape[:2], found[file].shape[:2]
        if (h, w) != (
            h2,
            w2,
        ):  # told at once, since a folder of photographs in full size may exceed the memory
            what = f"pictures differ in height x width: {_name(first, root)} {h}x{w}, {_name(file, root)} {h2}x{w2}"
            h, w = _commonest_size(files) or (h, w)
            raise UserError("dataset.resize", what, "null", f"'dataset.resize=[{h},{w}]'")
    if not found and not known:
        what = f"holds no pictures, but files such as {_name(files[0], root)}"
        raise UserError("dataset.root", what, root, "give a folder of pictures")
    return found, bad


def _name(file: Path, root: Path) -> str:
    """What a file is called below the root, in letters that can be printed."""
    return plain(str(file.relative_to(root)))


def _tell(bad: list[str], n: int, root: Path, s: Settings) -> None:
    """Warn of files that are left out, or raise UserError where they may not be."""
    more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
    what = f"{len(bad)} of {counted(n, 'file')} cannot be read: {', '.join(bad[:10])}{more}"
    if not s.skip_bad:
        fix = "remove them, hide them by a leading dot, or leave them out by dataset.skip_bad=true"
        raise UserError("dataset.root", what, root, fix)
    echo(f"warning: {what}; left out, as dataset.skip_bad=true says")


def _commonest_size(files: list[Path]) -> tuple[int, int] | None:
    """The height and width that most of up to 1,000 pictures have, as their headers say; None if none can be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    for file in files[:: 1 + len(files) // 1000]:
        check()
        with suppress(Exception), opened_picture(file) as image:  # a damaged picture has no vote
            sizes[image.height, image.width] += 1
    return sizes.most_common(1)[0][0] if sizes else None


def _level(pictures: dict[Path, np.ndarray], s: Settings) -> None:
    """Turn 16-bit pictures into bytes, in place: `levels` are black and white, by default the least and the largest value.

    Cameras, microscopes and depth sensors use a small part of 16 bits, of which all would be black.
    """
    deep = [file for file, picture in pictures.items() if picture.dtype == np.uint16]
    if not deep:
        if s.levels != "auto":
            echo("warning: dataset.levels has no effect: none of the pictures has 16 bits")
        return
    low, high = _range(pictures[file] for file in deep) if s.levels == "auto" else s.levels
    if s.levels == "auto":
        whole = f"dataset.levels=[{DEPTH[0]},{DEPTH[1]}] keeps the whole range"
        echo(
            f"16-bit pictures: {low} is black and {high} is white, the least and the largest value; {whole}"
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
    """Pictures [H, W, C] of one size as bytes [N, C, H, W]; grey ones repeat themselves in every channel."""
    h, w = pictures[0].shape[:2]
    x = np.empty((len(pictures), max(picture.shape[2] for picture in pictures), h, w), np.uint8)
    for i, picture in enumerate(pictures):
        x[i] = picture.transpose(2, 0, 1)
    return torch.from_numpy(x)


def _picture(file: Path, s: Settings) -> np.ndarray:
    """One file as bytes [H, W, C], upright, transparent parts on white; C is 1 for a grey picture unless `channels` is 3.

    A picture of 16 bits, which is grey, keeps them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a picture that Pillow merely wonders at is read, whatever python -W says
        warnings.simplefilter("error", Image.DecompressionBombWarning)
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


def _sixteen_bits(image: Image.Image, s: Settings) -> np.ndarray:
    """A grey picture of 16 bits [H, W, C], which `convert` would clip at 255."""
    values = np.asarray(image).astype(np.float32)
    if values.min() < DEPTH[0] or values.max() > DEPTH[1]:
        raise ValueError("values are beyond 16 bits")
    if s.resize:
        resized = np.asarray(Image.fromarray(values).resize(s.resize[::-1]))
        values = resized.clip(
            values.min(), values.max()
        )  # which bicubic interpolation exceeds at edges
    return np.repeat(
        values.round().astype(np.uint16)[..., None], 3 if s.channels == 3 else 1, axis=2
    )
