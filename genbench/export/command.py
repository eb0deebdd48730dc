"""The command `genbench export`: a finished run's model as files that other programs read."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench import __version__
from genbench.config.declarations import local_settings
from genbench.config.registry import Registry
from genbench.export.card import model_card
from genbench.export.convert import traced, write_onnx, write_torch
from genbench.export.programs import Example, Program, programs
from genbench.export.stored import load_without_data
from genbench.figures.files import png
from genbench.figures.images import as_bytes, paint
from genbench.model import Model
from genbench.settings.commands import ExportOptions
from genbench.sweeps.launch import run_title
from genbench.trained import Trained
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError, plain
from genbench.utils.files import (
    CannotWrite,
    Unreadable,
    kind,
    make_folder,
    read_bytes,
    read_json_or_empty,
    write_json,
)
from genbench.utils.imports import is_installed, optional, pip_line
from genbench.utils.text import quoted

MODULES = {  # that formats need besides what genbench itself does
    "safetensors": ("safetensors",),
    "torch": (),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "card": (),
    "samples": (),
}
EXTENSIONS = {"onnx": "onnx", "torch": "pt2"}
LONGEST_PROGRAM = 32  # steps of one that makes points value by value: 64 convolutions take minutes
SIZES = (5, 1)  # numbers of points for which programs are compared; the first are traced
WRITTEN_BY = "written_by"  # the entry of config.json by which an export is known
EXPORTED = (
    "config.json",
    "README.md",
    "model.safetensors",
    "samples.npz",
    "samples.png",
    "samples",
)
PROGRAMS = ("encoder", "decoder", "sampler", "log_prob")


def export(config: dict, folder: Path, options: ExportOptions, registry: Registry) -> int:
    """Export the run in a folder, and print what was written.

    UserError for a run that is not finished, for formats that lack a package, and, after all else
    was written, for programs that could not be exported or differ from the model.
    """
    formats = chosen_formats(options.formats)
    target = Path(options.to) if options.to else folder / "export"
    _require_own(target)
    registry.let_import()
    trained = load_without_data(config, folder, "cpu")
    title = run_title(config, folder, registry)
    make_folder(target, "choose another to=FOLDER")
    with _staged(target) as stage:
        written = _Export(trained, config, title, stage, options)
        with torch.no_grad():
            refused = written.write(formats, folder)
        signals.check()
        _publish(stage, target)
    for line in written.lines(target):
        echo(line)
    if refused:
        what = "; ".join(f"{name}: {why}" for name, why in refused.items())
        fix = "the other files are there; formats=[safetensors,card,samples] needs no program"
        raise UserError("export", f"leaves out {what}", fix=fix, code=1)
    return 0


def chosen_formats(asked: str | Sequence[str] | None) -> list[str]:
    """The formats to write. UserError if one that was asked for lacks a package.

    By default they are all that have theirs; what is missing is printed.
    """
    formats = [asked] if isinstance(asked, str) else list(asked or MODULES)
    lacking = [name for name in formats if not is_installed(*MODULES[name])]
    if lacking and asked is not None:
        needs = ", ".join(MODULES[lacking[0]])
        raise UserError("formats", f"needs {needs}", lacking[0], pip_line("export"))
    for name in lacking:
        echo(f"no {name}, which needs {', '.join(MODULES[name])}: {pip_line('export')}")
    return [name for name in formats if name not in lacking]


def is_too_long(program: Program, model: Model) -> bool:
    """Whether a program makes points value by value, in more steps than can be written down."""
    makes_points = program.name in ("sampler", "decoder")
    return makes_points and model.value_by_value and model.spec.size > LONGEST_PROGRAM


class _Export:
    """Writes the files of one export into a folder."""

    def __init__(
        self,
        trained: Trained,
        config: dict[str, Any],
        title: str,
        stage: Path,
        options: ExportOptions,
    ) -> None:
        self.trained, self.config, self.title = trained, config, title
        self.stage, self.options = stage, options
        self.programs: dict[str, dict[str, Any]] = {}  # as config.json describes them

    def write(self, formats: Sequence[str], run: Path) -> dict[str, str]:
        """Write these formats; returns why programs were left out, by the names of their files."""
        model = self.trained.model.eval().requires_grad_(False)
        if "safetensors" in formats:
            self.write_weights(model)
        if "samples" in formats:
            self.write_samples()
        refused: dict[str, str] = {}
        kinds = [name for name in EXTENSIONS if name in formats]
        if kinds:
            refused = self.write_programs(model, kinds)
        self.write_config()
        if "card" in formats:
            self.write_card(run)
        return refused

    def write_weights(self, model: Model) -> None:
        """Write model.safetensors: all that describes the fit, by the names of `state_dict`."""
        library = optional("safetensors.torch", "export", "safetensors")
        tensors = {name: t.detach().clone().contiguous() for name, t in model.state_dict().items()}
        about = {"format": "pt", "genbench": __version__}
        (self.stage / "model.safetensors").write_bytes(library.save(tensors, about))

    def write_samples(self) -> None:
        """Write samples as one array, or as a folder of pictures."""
        samples = self.trained.sample(self.options.n, self.options.seed)
        if self.options.samples == "npz":
            np.savez(self.stage / "samples.npz", samples=samples.numpy())
            return
        if samples.dim() != 4:
            what = "samples of this model are no images"
            raise UserError("samples", what, "png", "samples=npz")
        (self.stage / "samples").mkdir()
        for i, image in enumerate(samples):
            signals.check()
            content = png(torch.from_numpy(as_bytes(paint(image[None])[0])))
            (self.stage / "samples" / f"{i:05}.png").write_bytes(content)

    def write_programs(self, model: Model, kinds: Sequence[str]) -> dict[str, str]:
        """Write each program in each kind of file, unless its results differ from the model's."""
        examples: dict[str, list[Example]] = {
            program.name: [program.example(n, seed=n) for n in SIZES] for program in programs(model)
        }
        refused: dict[str, str] = {}
        for program in programs(model.for_inference()):
            signals.check()
            if is_too_long(program, model):
                what = f"a step for each of {model.spec.size} values, and {LONGEST_PROGRAM} at most"
                echo(f"no {program.name}, which would need {what}")
                continue
            self.write_program(program, examples[program.name], kinds, refused)
        return refused

    def write_program(
        self,
        program: Program,
        examples: Sequence[Example],
        kinds: Sequence[str],
        refused: dict[str, str],
    ) -> None:
        """Write one program, and take note of why not in `refused`."""
        files: dict[str, str] = {}
        differences: dict[str, float] = {}
        try:
            exported = traced(program, examples[0])
        except Exception as error:  # of whatever kind: a user's own model may do anything
            refused[program.name] = _reason(error)
            return
        for name in kinds:
            path = self.stage / f"{program.name}.{EXTENSIONS[name]}"
            try:
                if name == "torch":
                    differences[name] = write_torch(exported, path, examples)
                else:
                    differences[name] = write_onnx(exported, program, path, examples)
                files[name] = path.name
            except Exception as error:
                refused[path.name] = _reason(error)
                for left in self.stage.glob(f"{path.name}*"):
                    left.unlink()
        if files:
            described = program.described(examples[0])
            more = {"files": files, "largest_relative_difference": differences}
            self.programs[program.name] = described | more

    def write_config(self) -> None:
        """Write config.json, which describes the export."""
        hidden = {"dataset.loader", *local_settings(self.config)}
        content = {
            WRITTEN_BY: f"genbench {__version__}",
            "title": self.title,
            "settings": {
                name: value
                for name, value in self.config.items()
                if name not in ("model", "dataset")
            },
            "model": self.config["model"]["name"],
            "dataset": {
                name: value
                for name, value in self.config["dataset"].items()
                if f"dataset.{name}" not in hidden
            },
            "resolved": self.trained.metrics.get("auto", {}),
            "data": self.trained.metrics.get("data", {}),
            "programs": self.programs,
        }
        write_json(self.stage / "config.json", content)

    def write_card(self, run: Path) -> None:
        """Write README.md, with the picture of samples that the run has drawn."""
        picture = None
        try:
            (self.stage / "samples.png").write_bytes(read_bytes(run / "samples.png"))
            picture = "samples.png"
        except Unreadable:
            pass  # the model draws none, or somebody has removed it
        text = model_card(
            self.trained, self.config, self.title, self.options.license, self.programs, picture
        )
        (self.stage / "README.md").write_text(text, encoding="utf-8")

    def lines(self, target: Path) -> Iterator[str]:
        """What was written where, for people."""
        for program in self.programs.values():
            for name, file in program["files"].items():
                off = program["largest_relative_difference"][name]
                yield f"{quoted(target / file)}: agrees with the model to {off:.0e}"
        files = {file for program in self.programs.values() for file in program["files"].values()}
        for path in sorted(target.iterdir()):
            if path.name in EXPORTED and path.name not in files:
                yield quoted(path)


def _reason(error: Exception) -> str:
    """An error of torch or ONNX, which may be pages long, in one line."""
    if isinstance(error, UserError):
        return error.what
    first = str(error).strip().partition("\n")[0]
    return plain(f"{type(error).__name__}: {first}")


def _require_own(target: Path) -> None:
    """UserError for a folder that holds something else than an earlier export."""
    if not os.path.isdir(target) or not any(target.iterdir()):
        return
    if WRITTEN_BY not in read_json_or_empty(target / "config.json"):
        what = "holds something else than an export"
        raise UserError("to", what, str(target), "choose another to=FOLDER, or empty it")


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A temporary folder in the target, which is removed afterwards."""
    stage = Path(tempfile.mkdtemp(prefix=".genbench-", dir=target))
    try:
        yield stage
    except OSError as error:
        raise CannotWrite.because(error, target, 0) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(stage: Path, target: Path) -> None:
    """Replace the files of an earlier export by the new ones."""
    names = [*EXPORTED, *(f"{name}.{end}" for name in PROGRAMS for end in EXTENSIONS.values())]
    for path in (target / name for name in names):
        if kind(path) == "a folder":
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in stage.iterdir():
        os.replace(path, target / path.name)
