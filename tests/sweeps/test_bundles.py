"""Jobs of a sweep that are trained together: which they are, and that they remain jobs of their own."""

import json
from pathlib import Path

import pytest
from helpers.configs import config_of, small_config
from helpers.sweeps import states, summary

from genbench.sweeps import launcher
from genbench.sweeps.at_once import JobsAtOnce
from genbench.sweeps.bundles import bundles, likeness
from genbench.sweeps.display import JobTable
from genbench.sweeps.engines.lane import Bundle, Lane
from genbench.sweeps.job import JobTask
from genbench.sweeps.pool import Exit, Message

PLANE = ["-m", "model=vae", "dataset=moons", "dataset.size=300", "hidden=[8]", "steps=30"]
PLANE += ["batch_size=64", "evaluation=none", "device=cpu"]


def alike(*words, model="vae", dataset="moons"):
    return likeness(config_of(model, *words, dataset=dataset))


def test_jobs_that_differ_in_weights_rates_or_seeds_are_alike():
    one = alike("hidden=[8]")
    assert one.small and alike("hidden=[8]", "beta=3", "lr=0.1", "seed=7") == one
    for words in (["beta=0"], ["dataset.seed=1"], ["epochs=3"], ["latent_dim=3"], ["theme=dark"]):
        assert alike("hidden=[8]", *words) != one
    assert alike("hidden=[8]", model="beta-vae") != one
    assert not alike("hidden=[65]").small and not alike(dataset="digits").small
    assert alike(model="pca") is None and likeness(small_config("gmm")) is None


@pytest.mark.parametrize(
    ("together", "workers", "on_gpu", "sizes"),
    [
        ("auto", 1, False, [8] + [1] * 11),  # 8 small jobs, 10 large ones, one that is unlike
        ("auto", 2, False, [1] * 19),  # too few small ones for two
        ("auto", 1, True, [8, 10, 1]),
        (True, 1, False, [8, 10, 1]),
        (True, 2, False, [4, 4, 5, 5, 1]),
        (False, 1, True, [1] * 19),
    ],
)
def test_bundles_give_all_workers_something_to_do(together, workers, on_gpu, sizes):
    small, large = alike("hidden=[8]"), alike()
    jobs = [small] * 3 + [large] * 9 + [None] + [small] * 5 + [large]
    found = bundles(jobs, together, workers, on_gpu)
    assert sorted(map(len, found)) == sorted(sizes)
    assert sorted(place for bundle in found for place in bundle) == [*range(19)]
    for bundle in found:
        assert len({jobs[place] for place in bundle}) == 1
    sixteen = bundles([small] * 16, "auto", 2, on_gpu=False)
    assert [*map(len, sixteen)] == [8, 8]
    hundred = bundles([small] * 100, "auto", 1, on_gpu=True)
    assert [*map(len, hundred)] == [50, 50]


@pytest.mark.engines
def test_a_sweep_that_trains_together_leaves_the_same_runs(genbench):
    for folder, option in (("alone", "false"), ("joint", "true")):
        words = ["seed=0,1", "beta=1,0", f"together={option}"]
        done = genbench(*PLANE, *words, f"hydra.sweep.dir={folder}")
        assert done.returncode == 0 and "4 of 4 jobs done" in done.stdout, done
    rows = [[{**row, "command": ""} for row in summary(folder)] for folder in ("alone", "joint")]
    assert rows[0] == rows[1] and states("joint") == ["done"] * 4
    counts = []
    for row in rows[0]:
        one, other = (
            json.loads((Path(folder) / row["directory"] / "metrics.json").read_text())
            for folder in ("alone", "joint")
        )
        assert one["test"] == pytest.approx(other["test"], rel=1e-4)
        counts.append(other["machine"]["together"])
        log = (Path("joint") / row["directory"] / "run.log").read_text()
        assert log.count("settings: ") == 1 and log.count("measured: ") == 1
    assert counts == ["2"] * 4  # beta=0 leaves a term out


def test_a_sweep_is_resumed_as_it_was_trained(genbench, monkeypatch):
    chosen = []

    def run(self, overrides, first):
        chosen.append(self.options["together"])
        return []

    monkeypatch.setattr(launcher.Launch, "run", run)
    genbench(*PLANE, "seed=0,1", "together=true", "hydra.sweep.dir=sweep")
    genbench("resume", "sweep")
    genbench("resume", "sweep", "together=false")
    assert chosen == [True, True, False]
    done = genbench(*PLANE, "seed=0,1", "together=2")
    assert done.returncode == 2 and "together: must be" in done.stderr


def test_jobs_of_a_killed_process_go_on_unless_they_are_done(capsys):
    task = JobTask(labels=("a", "b"), numbers=(1, 2), total=2)
    table = JobTable()
    shown = JobsAtOnce(task, table, [["a"], ["b"]], [[0, 1]], 0)
    for content in (
        *((place, "begin") for place in (0, 1)),
        (0, "ended", "done", [], None),
        Exit(-9),
        *((place, "begin") for place in (0, 1)),
        (0, "ended", "done", [], None),
        Exit(-9),
    ):
        shown.receive(Message(0, content))
    said = capsys.readouterr()
    words = [line.split()[:2] for line in said.out.splitlines()]
    assert words.count(["1/2", "done"]) == 1 and words.count(["2/2", "restarted"]) == 1
    assert words[-1] == ["2/2", "failed"] and ["1/2", "restarted"] not in words
    assert "repeat the command with together=false" in said.err


def test_jobs_that_run_elsewhere_leave_their_bundle():
    words = tuple((f"seed={i}",) for i in range(4))
    whole = Lane(
        None, {}, (Bundle((0, 1, 2), words[:3], (5, 6, 7)), Bundle((3,), words[3:], (8,))), {}
    )
    parted = whole.parted({1})
    assert parted.bundles == (
        Bundle((0, 2), (words[0], words[2]), (5, 7)),
        Bundle((1,), (words[1],), (6,)),
        Bundle((3,), (words[3],), (8,)),
    )
    assert sorted(parted.of({0, 2, 3}).places) == [0, 2, 3]
    assert whole.parted(()).bundles == whole.bundles
