"""A model of moods, which fails on request, and sweeps without charts."""

import sys

import pytest
from helpers.sweeps import MOODS, MOODY, TINY

from genbench.report import command, sweep_curves


@pytest.fixture
def moody(genbench, tmp_path, monkeypatch, uncurved):
    """A sweep over a model of one's own, by its further overrides."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "moody.yaml").write_text(MOODY)
    (tmp_path / "mine" / "moods.py").write_text(MOODS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield lambda *words, folder="sweep": genbench(
        "--config-dir", "mine", "-m", "model=moody", *TINY, *words, f"hydra.sweep.dir={folder}"
    )
    sys.modules.pop("moods", None)


@pytest.fixture
def uncurved(monkeypatch):
    """Sweeps draw no charts and write no report."""
    monkeypatch.setattr(sweep_curves, "draw_curves", lambda folder, registry: None)
    monkeypatch.setattr(command, "write_report", lambda *args: None)
