"""Rows of the benchmark: whole commands, sweeps, the report card, drawing, memory."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from benchmark_rows import Bench, Round, Row, Work, in_turn, seconds

from genbench.config.compose import resolved
from genbench.evaluation.card import card
from genbench.evaluation.context import Evaluation
from genbench.experiment import build, run
from genbench.runs.recorder import Run
from genbench.training.loop import NullRecorder, fit_model
from genbench.training.objective import final

IMPORTS = "import torch, hydra, matplotlib, sklearn, tensorboard"
SHORT = ["-m", "model=pca,vae", "epochs=1", "seed=0,1,2,3,4,5,6,7", "evaluation=none"]
SMALL = ["-m", "model=vae", "network=mlp", "hidden=[32]", "dataset=moons", "seed=0,1"]
SMALL += ["epochs=2", "beta=.1,.2,.5,1,2,4,8,16", "evaluation=none", "jobs=1"]
WRITERS = ("draw", "draw_final", "log", "save", "save_metrics", "save_posthoc")  # methods of `Run`


def command(*words: str) -> Work:
    """The command `genbench` with these words, in a process and a folder of its own."""

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            given = [*words, f"hydra.run.dir={folder}/run", f"hydra.sweep.dir={folder}/sweep"]
            whole = [sys.executable, "-m", "genbench", *given]
            subprocess.run(whole, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    return work


def one_command(bench: Bench) -> Round:
    """The whole command, and a process that imports the large libraries of all commands."""
    mnist = ["dataset=mnist", f"dataset.root={bench.root}"]
    imports = [sys.executable, "-c", IMPORTS]
    return in_turn(
        command("model=pca", *mnist, "evaluation=none"),
        lambda: subprocess.run(imports, check=True),
    )


def short_sweep(bench: Bench) -> Round:
    """Sixteen runs on digits, as many at once as there are cores, and one after the other."""
    return in_turn(command(*SHORT), command(*SHORT, "jobs=1"))


def small_sweep(bench: Bench) -> Round:
    """Sixteen runs that train as one batched model, and one after the other."""
    return in_turn(command(*SMALL, "together=true"), command(*SMALL, "together=false"))


def full_card(bench: Bench) -> Round:
    """All measures of a fitted model, on new samples."""
    data = bench.data
    model = build(bench.config("model=pca"), data)
    fit_model(model, data, NullRecorder(), model.settings)
    s = model.settings

    def measure() -> None:
        card(Evaluation(model, data, final(model, data, s.batch_size, s.seed), "full"))

    return lambda: (seconds(measure), 0.0)


def drawing(bench: Bench) -> Round:
    """The seconds of a default run in which it draws or writes files, and all of them.

    The run takes place in this process, which has imported everything already.
    """
    spent = [0.0]

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **more: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*args, **more)
            finally:
                spent[0] += time.perf_counter() - started

        return counting

    for name in WRITERS:
        setattr(Run, name, counted(getattr(Run, name)))
    config = resolved(["model=vae", "beta=4", "device=cpu"], bench.registry)

    def work() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            open(os.devnull, "w") as nowhere,
            redirect_stdout(nowhere),
        ):
            run(config, Path(folder) / "run")

    def do_round() -> tuple[float, float]:
        spent[0] = 0.0
        whole = seconds(work)
        return spent[0], whole

    return do_round


def memory(bench: Bench) -> Round:
    """The most memory that a run of 40 epochs needs, and one of 4."""
    return lambda: (peak_memory(40), peak_memory(4))


def peak_memory(epochs: int) -> float:
    """The MiB that a run on digits needs at most."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["model=vae", f"epochs={epochs}", "evaluation=none", "hydra.run.dir=."]
        whole = [sys.executable, "-m", "genbench", *words]
        process = subprocess.Popen(whole, cwd=folder, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, words
    kibibytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return kibibytes / 1024


ROWS = [
    Row(
        "genbench model=pca dataset=mnist evaluation=none",
        "imports",
        1.5,
        one_command,
        figure="seconds beyond",
    ),
    Row("a sweep of 16 short runs on digits", "one at a time", 0.55, short_sweep),
    Row("the sweep of 16 small VAEs on the plane, together", "one at a time", 0.5, small_sweep),
    Row("card of pca, 10,000 points", "", 20, full_card, figure="seconds"),
    Row("drawing and writing in genbench model=vae beta=4", "the whole run", 0.1, drawing),
    Row("peak memory of vae on digits, 40 epochs", "4 epochs", 1.05, memory, unit="MiB"),
]
