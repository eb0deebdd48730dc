"""Errors: one line with a way out, and opening of files and pictures that is safe everywhere."""

import ast
import errno
import json
import os
import time
from pathlib import Path

import pytest
from helpers.configs import small_config
from helpers.faults import TINY
from helpers.runs import put
from PIL import EpsImagePlugin

from genbench.data import readers
from genbench.experiment import run
from genbench.models.ae import Autoencoder
from genbench.runs.recorder import Run
from genbench.utils import files

PACKAGE = Path(files.__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EACCES, "choose another folder"),
        (errno.EROFS, "choose another"),
    ],
)
def test_room_is_asked_for_only_where_it_lacks(error, fix, tmp_path):
    assert fix in str(
        files.CannotWrite.because(OSError(error, os.strerror(error)), tmp_path / "file", 9)
    )
    assert "its folder is gone; fix: bring" in str(
        files.CannotWrite.because(OSError(error, ""), tmp_path / "gone" / "file", 9)
    )


def test_an_error_that_nobody_foresaw_is_one_line_with_the_traceback_in_the_log(
    genbench, tmp_path, monkeypatch
):
    def broken(self, batch):
        raise KeyError("weights\nof nothing")

    monkeypatch.setattr(Autoencoder, "step", broken)
    done = genbench("model=ae", *TINY, "hydra.run.dir=run")
    assert done.returncode == 1 and "KeyError: 'weights\\nof nothing'; fix: see " in done.stderr
    assert "Traceback" in (tmp_path / "run" / "run.log").read_text()
    assert json.loads((tmp_path / "run" / "status.json").read_text())["reason"].startswith(
        str(tmp_path / "run")
    )


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_every_error_tells_a_way_out(file):
    for call in ast.walk(ast.parse(file.read_text())):
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "UserError":
            assert len(call.args) >= 4 or any(k.arg == "fix" for k in call.keywords), (
                f"{file.name}:{call.lineno}"
            )


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def test_frames_that_are_no_pictures_start_no_program_and_cost_only_themselves(
    tmp_path, capsys, monkeypatch, sketched
):
    draw_final = Run.draw_final

    def meddled(self, epoch, *args, **more):
        for content in (POSTSCRIPT, b"\x89PNG\r\n\x1a\n and nothing more"):
            self.curves.loggers.picture(self.pictures.tag("samples"), content, (9, 9), 0)
        draw_final(self, epoch, *args, **more)

    monkeypatch.setattr(Run, "draw_final", meddled)
    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *args, **more: pytest.fail("a program was started")
    )
    run(small_config("pca"), tmp_path)
    assert "the film leaves out 2 frames, which are no PNG" in capsys.readouterr().out
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "done"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_pictures_are_opened_by_decoders_that_are_named(file):
    for call in ast.walk(ast.parse(file.read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Image.open"):
            assert any(k.arg == "formats" for k in call.keywords), f"{file.name}:{call.lineno}"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_no_file_is_opened_but_as_a_regular_one(file):
    """Nothing waits for a pipe: what is opened is known to be regular, new, in memory, or the program's own."""
    for call in ast.walk(ast.parse(file.read_text())):
        if (
            not isinstance(call, ast.Call)
            or file.parent.name == "files"
            or file.name in ("output.py", "array_files.py")  # which looks first
        ):
            continue
        text, (*owner, name) = ast.unparse(call), ast.unparse(call.func).split(".")
        raw = text.startswith("open(") or (owner and name in ("read_bytes", "read_text"))
        raw = raw or ".".join([*owner, name]) in ("torch.load", "np.load", "Image.open")
        own = any(
            known in text for known in ("opened(", "O_EXCL", "'xb'", "'x+b'", "BytesIO", "__file__")
        )
        known = {
            ("card.py", "file.read_bytes()"),
            ("memory.py", "file.read_text(encoding='ascii')"),  # the kernel's, as the next three
            ("memory.py", "own.read_text()"),
            ("processor.py", "cpuinfo.read_text()"),
            ("on_processes.py", "Path(f'/proc/{process}/cmdline').read_bytes()"),
            ("prepared.py", "np.load(path, mmap_mode='r', allow_pickle=False)"),  # known to be one
            ("ranks.py", "torch.load(data, map_location=device, weights_only=True)"),  # in memory
            ("pictures.py", "Image.open(file, formats=formats)"),
        }
        assert not raw or own or (file.name, text) in known, f"{file.name}:{call.lineno}: {text}"


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder", "a socket"])
def test_data_may_be_links_to_files_and_nothing_else(kind, tmp_path):
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")
    with open(files.opened(tmp_path / "link", links=True), "rb") as content:
        assert content.read() == b"data"
    put(kind, tmp_path / "strange", tmp_path / "elsewhere")
    started = time.perf_counter()
    for read in (
        readers.read_content,
        lambda path: readers._idx_bytes(path, 1),
        lambda path: readers._amat_bytes(path, 28),
    ):
        with pytest.raises(OSError, match=r"it is (a|no) |No such device"):
            read(tmp_path / "strange")
    assert time.perf_counter() - started < 1
