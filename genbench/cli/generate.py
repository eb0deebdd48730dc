"""What the model of a finished run generates: a command each for samples, reconstructions, lines
between codes, and latents.

A command is one function `(trained, viewer, options) -> arrays by name, picture`, listed by
`@command` with the abilities that it needs. genbench/settings/commands.py declares its options.
`figures` has what computes and draws, which runs share.
"""

import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from genbench.cli.table_output import file_of_table, table_content
from genbench.config.registry import Registry
from genbench.config.resolvers import unique_name
from genbench.experiment import load_run
from genbench.figures.files import png
from genbench.figures.images import BYTES_PER_PIXEL, DRAWN_PIXELS
from genbench.figures.latent import (
    draw_interpolation,
    draw_traversal,
    interpolated,
    traversed,
    usual_codes,
)
from genbench.figures.reconstructions import draw_reconstructions, reconstructed
from genbench.figures.samples import draw_samples
from genbench.figures.scene import Scene
from genbench.model import Model, supports
from genbench.settings.commands import (
    HeldOutOptions,
    InterpolateOptions,
    OutputOptions,
    ReconstructOptions,
    SampleOptions,
    TraverseOptions,
)
from genbench.settings.fields import LARGEST_FLOAT
from genbench.settings.setting import written
from genbench.sweeps.launch import run_title
from genbench.trained import Trained
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.files import Unreadable, make_folder, read_bytes, write
from genbench.utils.memory import MEMORY, require_room
from genbench.utils.text import counted, quoted

Generated = tuple[dict[str, torch.Tensor], torch.Tensor | None]
Generator = Callable[[Trained, Scene, Any], Generated]  # of the options of the command


class Command(NamedTuple):
    """What a command needs of a model, whether its codes must be vectors, and the function that
    does it.
    """

    needs: tuple[str, ...]
    vectors: bool
    function: Generator

    def lacks(self, model: Model) -> str:
        """Why a model cannot do it; nothing if it can."""
        lacking = [ability for ability in self.needs if not supports(model, ability)]
        if lacking:
            return f"this model cannot {' and '.join(lacking)}"
        return (
            "the codes of this model are no vectors"
            if self.vectors and model.latent_dim is None
            else ""
        )


GENERATE_COMMANDS: dict[str, Command] = {}


def command(*needs: str, vectors: bool = False) -> Callable[[Generator], Generator]:
    """List a function as the command of its name, for models with these abilities."""

    def listed(function: Generator) -> Generator:
        GENERATE_COMMANDS[function.__name__] = Command(needs, vectors, function)
        return function

    return listed


@command("sample")
def sample(trained: Trained, v: Scene, s: SampleOptions) -> Generated:
    ways = {"guidance": s.guidance, "sampler": s.sampler, "sampling_steps": s.sampling_steps}
    given = {name: value for name, value in ways.items() if value is not None}
    samples = trained.sample(s.n, s.seed, s.y, **given)
    of = "" if s.y is None else f" of class {trained.data.called(s.y)}"
    return {"samples": samples}, draw_samples(v, samples, of)


@command("encode", "decode")
def reconstruct(trained: Trained, v: Scene, s: ReconstructOptions) -> Generated:
    _require_points(v, s.n, s.n)
    originals, again = reconstructed(v, trained.model, s.n)
    return {"originals": originals, "reconstructions": again}, draw_reconstructions(
        v, originals, again
    )


@command("encode", "decode", vectors=True)
def interpolate(trained: Trained, v: Scene, s: InterpolateOptions) -> Generated:
    _require_points(v, s.n, 2 * s.n)
    originals, codes, points = interpolated(v, trained.model, s.n, s.steps)
    arrays = {"originals": originals, "codes": codes, "points": points}
    return arrays, draw_interpolation(v, originals, points, trained.model.conditional)


@command("decode", vectors=True)
def traverse(trained: Trained, v: Scene, s: TraverseOptions) -> Generated:
    cloud, whose = usual_codes(v, trained.model)
    mean, reach = cloud.mean(0), s.range * cloud.std(0, correction=0)
    low, high = mean - reach, mean + reach
    if not (high - low <= LARGEST_FLOAT).all():  # some models have codes in double precision
        what = "leads to codes beyond the numbers of single precision"
        raise UserError("range", what, s.range, "a smaller range, such as range=3")
    found = traversed(v, trained.model, cloud, low, high, s.steps)
    picture = draw_traversal(
        v, found, f"{s.range:g} standard deviations below the mean of {whose} to as many above"
    )
    return {"codes": found.codes, "points": found.points}, picture


def _require_points(v: Scene, n: int, points: int) -> None:
    if points > len(v.held_out):
        most = n * len(v.held_out) // points
        larger = [f"part={name}" for name, some in v.data.splits.items() if len(some) >= points]
        fix = " or ".join([*([f"n={most}"] if most else []), *larger]) or "a run on more data"
        raise UserError(
            "n",
            f"this takes {counted(points, 'point')}, and the {v.part} part has {len(v.held_out):,}",
            n,
            fix,
        )


@torch.no_grad()
def generate(
    name: str, config: dict, folder: Path, options: OutputOptions, registry: Registry
) -> int:
    """Run a command on the run in a folder: write the arrays and their picture, and print where.

    UserError, and nothing is written, for a run that is not finished, data that it lacks and a
    model that cannot.
    """
    registry.let_import()
    trained = load_run(config, folder, options.device)
    _require_able(name, trained)
    part = options.part if isinstance(options, HeldOutOptions) else ""
    if part and part not in trained.data.splits:
        raise UserError(
            "part",
            "the data of this run have no such part",
            part,
            f"choose from {', '.join(trained.data.splits)}",
        )
    look = {"theme": config["theme"], "upscaling": config["upscaling"]}
    viewer = Scene(trained.data, config["seed"], run_title(config, folder, registry), part, **look)
    viewer.at(trained.metrics["cost"]["kept_epoch"])
    _require_room(trained, options)
    arrays, picture = GENERATE_COMMANDS[name].function(trained, viewer, options)
    values = {key: options.values()[key] for key in registry.own_first(f"command/{name}")}
    for key, array in arrays.items():
        _warn_of_infinite(key, array)
    file = file_of_table(options.to)
    if file is not None:
        return _write_table(file, table_content(file, arrays, trained, viewer, options))
    path = _made(folder, options.to) / unique_name(
        name, [f"{key}={written(v)}" for key, v in values.items() if _is_named(key, v)]
    )
    files = {path.with_name(f"{path.name}.npz"): packed(arrays)}
    if picture is not None:
        files[path.with_name(f"{path.name}.png")] = png(picture)
    if options.to is not None:
        _require_free(files)
    signals.check()
    for file, content in files.items():
        write(file, content)
    echo(
        f"{quoted(path)}.npz: "
        + ", ".join(f"{key} {list(array.shape)}" for key, array in arrays.items())
    )
    if picture is None:
        echo(
            f"no picture: {name} has none of points {list(trained.data.spec.shape)}, "
            "only of images and of the plane"
        )
    else:
        echo(f"{quoted(path)}.png")
    return 0


def _write_table(file: Path, content: bytes) -> int:
    make_folder(file.parent, "choose another to=FILE")
    _require_free({file: content})
    signals.check()
    write(file, content)
    echo(quoted(file))
    return 0


def _warn_of_infinite(name: str, array: torch.Tensor) -> None:
    bad = int((~array.isfinite()).sum())
    if bad:
        echo(f"warning: {bad:,} of {array.numel():,} values of the {name} are not finite")


# Of a point in single precision, at once: as drawn in blocks and put together, in an archive that
# grows, and in double precision where a model computes in it. 2.2 were measured of a VAE.
COPIES = 4


def _require_room(trained: Trained, options: OutputOptions) -> None:
    """UserError for so many points that they would take more than half of this machine's memory,
    before any is drawn. The other half is left to the model, its data and other programs.
    """
    spec, width = trained.data.spec, trained.model.latent_dim or 0
    values = options.values()
    name = max(("n", "steps"), key=lambda option: values.get(option, 0))
    points = values.get("n", width) * values.get("steps", 1)
    each = 4 * COPIES * (spec.size + width)  # bytes
    drawn = BYTES_PER_PIXEL * math.prod(spec.shape[1:]) if len(spec.shape) == 3 else 0
    picture = BYTES_PER_PIXEL * DRAWN_PIXELS if drawn else 0
    room = MEMORY // 2
    most = max(room // (each + drawn), (room - picture) // each)
    fix = f"{name}={max(1, most * values[name] // points)} at most"
    size = points * each + min(points * drawn, picture)
    require_room(name, f"{points:,} points", size, values[name], fix, half=True)


def _require_able(name: str, trained: Trained) -> None:
    model, able = (
        trained.model,
        [other for other, command in GENERATE_COMMANDS.items() if not command.lacks(trained.model)],
    )
    if name not in able:
        fix = f"what can be asked of it is {', '.join(able)}" if able else "another model"
        raise UserError(name, GENERATE_COMMANDS[name].lacks(model), model.settings.model.name, fix)


def _is_named(option: str, value: Any) -> bool:
    """Whether the file is named after an option: it is set, and neither folder nor device."""
    return option not in ("to", "device") and value is not None


def _require_free(files: dict[Path, bytes]) -> None:
    """UserError if one of these files would replace another: that of another run, or a user's."""
    for file, content in files.items():
        try:
            is_same = read_bytes(file, len(content)) == content
        except Unreadable:
            is_same = not os.path.lexists(file)
        if not is_same:
            fix = "move it away, or choose another to=FOLDER"
            raise UserError(str(file), "is another file, which is not replaced", fix=fix)


def _made(folder: Path, to: str | None) -> Path:
    """The folder that the files go to."""
    if to is None:
        return folder.resolve()
    make_folder(Path(to), "choose another to=FOLDER")
    return Path(to)


def packed(arrays: dict[str, torch.Tensor]) -> bytes:
    """Arrays as the bytes of an .npz file, in single precision; the same bytes for the same
    arrays.
    """
    out = io.BytesIO()
    single: dict[str, Any] = {name: array.float().cpu().numpy() for name, array in arrays.items()}
    np.savez(out, **single)
    return out.getvalue()
