"""What is printed: one printable line, whatever the names, and no error where nobody reads it."""

import errno
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.faults import LINUX, TINY
from PIL import Image
from rich.table import Table
from rich.text import Text

from genbench.utils.console import PipeSafeConsole, echo
from genbench.utils.text import quoted


def test_output_to_a_file_holds_lines_and_nothing_else(genbench, tmp_path):
    done = genbench("model=ae", *TINY)
    assert (
        done.returncode == 0
        and "\x1b" not in done.stdout
        and "\r" not in done.stdout
        and "\b" not in done.stdout
    )
    assert any("epoch 2/2" in line for line in done.stdout.splitlines())


EVIL = "bad\x1b[32mY\nZ\udcff"


def test_names_of_folders_and_files_are_one_printable_line_wherever_they_come_out(
    genbench, tmp_path
):
    rng = np.random.default_rng(0)
    for name in ("good", EVIL):
        (tmp_path / "root" / name).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(
                tmp_path / "root" / name / f"{i}.png"
            )
    (tmp_path / "root" / "good" / f"{EVIL}.png").write_bytes(b"none")
    (tmp_path / "root" / "good" / f"loop{EVIL}").symlink_to(tmp_path / "root" / "good")
    words = [
        "model=pca",
        "dataset=image-folder",
        "dataset.root=root",
        "dataset.skip_bad=true",
        "device=cpu",
    ]
    done = genbench(*words, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    escaped = r"bad\x1b[32mY\nZ\xff"
    assert f"{escaped}.png" in done.stdout and f"loop{escaped}" in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())
    for name in ("skipped.txt", "projector/labels.tsv"):
        text = (tmp_path / "run" / name).read_text(encoding="utf-8")
        assert escaped in text and all(
            line.replace("\t", "").isprintable() for line in text.split("\n")
        )
    labels = (tmp_path / "run" / "projector" / "labels.tsv").read_text().splitlines()
    assert len(labels) == len(
        (tmp_path / "run" / "projector" / "codes.tsv").read_text().splitlines()
    )


def test_no_text_steers_a_terminal_and_a_path_can_be_typed(tmp_path, monkeypatch, capsys):
    on = PipeSafeConsole(file=io.StringIO(), width=80)
    on.print("a\x1b[2Jb", Text("c\x07\x9bd"), markup=False)
    table = Table("e\x1b]0;f")
    table.add_row("g\x1bh")
    on.print(table)
    echo(f"one{EVIL}line")
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said.rstrip("\n").isprintable()
    assert "\x1b" not in on.file.getvalue() and "\\x1b" in on.file.getvalue()
    monkeypatch.chdir(tmp_path)
    for name in (EVIL, "it's\\x\n'", "plain", "a b"):
        folder = tmp_path / name
        folder.mkdir()
        assert quoted(folder).isprintable()
        found = subprocess.run(
            ["bash", "-c", f"cd {quoted(folder)} && pwd"], capture_output=True, check=True
        ).stdout
        assert os.fsencode(folder) + b"\n" == found


class Full(io.StringIO):
    """A stream to a disk without room."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("words", "status"),
    [(["models"], 1), (["--help"], 1), (["model=pca", "device=cpu", "hydra.run.dir=run"], 0)],
    ids=lambda w: str(w)[:9],
)
def test_output_that_cannot_be_written_fails_no_run(words, status, genbench, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    done = genbench(*words)
    assert (
        done.returncode == status
        and "standard output: cannot be written: No space left on device; fix: " in done.stderr
    )
    assert status or json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"


@pytest.mark.skipif(not LINUX, reason="there is such a device on Linux only")
def test_a_full_disk_behind_the_output_is_told_in_a_line():
    with open("/dev/full", "w") as full_disk:
        done = subprocess.run(
            [sys.executable, "-m", "genbench", "models"],
            stdout=full_disk,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (
        done.returncode == 1
        and done.stderr.count("\n") == 1
        and "No space left on device" in done.stderr
    )
