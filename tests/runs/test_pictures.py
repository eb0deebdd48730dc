"""The pictures of a run: when they are drawn, and what becomes of a run whose pictures fail."""

import pytest
from helpers.configs import sketch, small_config

from genbench.experiment import run
from genbench.figures.renderer import FigureRenderer

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), [1, 2]),
        (("sampler=gmm",), [1, 2, 2]),  # samples change once codes have a density
        (("draw_every=3",), [2]),
    ],
)
def test_pictures_are_drawn_again_at_the_end_only_if_they_may_have_changed(
    words, expected, tmp_path, monkeypatch
):
    drawn = []

    def watched(renderer, model, epoch):
        drawn.append(epoch)
        return sketch(renderer, model, epoch)

    monkeypatch.setattr(FigureRenderer, "watched", watched)
    monkeypatch.setattr(FigureRenderer, "finished", lambda *args: iter(()))
    run(small_config("vae", "epochs=2", *words), tmp_path)
    assert drawn == expected


def test_a_drawing_that_fails_does_not_fail_the_run(tmp_path, monkeypatch, capsys):
    def watched(renderer, model, epoch):
        if epoch == 1:
            raise RuntimeError("no ink")
        return sketch(renderer, model, epoch)

    monkeypatch.setattr(FigureRenderer, "watched", watched)
    monkeypatch.setattr(FigureRenderer, "projection", lambda *args: 1 / 0)
    assert run(small_config("vae", "epochs=2"), tmp_path).metrics["test"]
    out = capsys.readouterr().out
    assert out.count("warning: the run goes on without some pictures") == 1 and "no ink" in out
    log = (tmp_path / "run.log").read_text()
    assert "Traceback" in log and "ZeroDivisionError" in log
    assert (tmp_path / "codes.png").exists()  # of epoch 2
