"""One run over several processes: shares of batches, and the numbers of one process from two."""

import itertools
import json
import subprocess
import sys

import pytest
import torch
from helpers import two_processes

from genbench.data.types import Batch, Split
from genbench.models.ae import Autoencoder
from genbench.models.vae import VAE
from genbench.training import shares


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [1, 5, 6, 100])
def test_shares_are_a_whole_batch_and_differ_by_a_point_at_most(n, count):
    parts = [shares.BatchShare(n, rank, count) for rank in range(count)]
    points = [[*range(n)][part.rows] for part in parts]
    assert [*itertools.chain(*points)] == [*range(n)]
    assert max(map(len, points)) - min(map(len, points)) <= 1
    assert sum(part.weight for part in parts) == pytest.approx(1)


@pytest.mark.parametrize("order", [None, 3])
def test_batches_are_read_by_shares(order):
    split = Split(torch.arange(23.0)[:, None], torch.arange(23))
    whole = [*split.batches(5, order=order, skip=1)]
    parts = [
        [
            *split.batches(
                5, order=order, skip=1, share=lambda n, r=rank: shares.BatchShare(n, r, 3).rows
            )
        ]
        for rank in range(3)
    ]
    for batch, own in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat([one.x for one in own]), batch.x)
        assert torch.equal(torch.cat([one.y for one in own]), batch.y)


def test_a_process_alone_has_all_of_every_batch():
    x = torch.rand(4, 2, requires_grad=True)
    gradients, terms = [x], {"loss": x.sum()}
    with shares.sharing(4):
        assert shares.whole_batch(x) is x and shares.batch_size(4) == 4
        averaged = shares.average_shares(gradients, terms)
    assert averaged[0] is gradients and averaged[1] is terms
    with shares.without_empty_share(Batch(x, None)) as batch:
        assert batch.x is x
    assert [*shares.dealt("abc")] == ["a", "b", "c"]


def test_no_model_inherits_that_its_loss_is_a_mean_over_points():
    class Own(Autoencoder):
        pass

    assert Autoencoder.splits_batches and VAE.splits_batches and not Own.splits_batches


@pytest.mark.parametrize("words", [("-m", "model=vae,ae"), ("resume", "sweep")])
def test_torchrun_starts_no_sweeps(words, genbench, monkeypatch, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep_summary.json").write_text("{}")
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "",
        "MASTER_PORT": "",
    }.items():
        monkeypatch.setenv(name, value)
    refused = genbench(*words)
    assert (
        refused.returncode == 2
        and "torchrun starts several processes for one run" in refused.stderr
    )
    monkeypatch.setenv("RANK", "1")  # which leaves the message to the first
    assert genbench("-m", "model=vae,ae").returncode == 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder with the runs of two processes."""
    out = tmp_path_factory.mktemp("pair")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [*torchrun, two_processes.__file__, str(out)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return out


def numbers(folder):
    """The objective by part of the data and term."""
    found = json.loads((folder / "metrics.json").read_text())
    return {
        f"{part} {name}": value
        for part in ("train", "validation", "test")
        for name, value in found.get(part, {}).items()
    }


EXACT = ("pca", "pca of few", "kmeans", "gmm", "kde")


@pytest.mark.engines
@pytest.mark.parametrize("name", two_processes.FITS)
def test_two_processes_have_the_numbers_of_one(name, pair, tmp_path):
    model, settings = two_processes.FITS[name]
    two_processes.fit(model, tmp_path / "alone", settings)
    alone = numbers(tmp_path / "alone")
    assert numbers(pair / name) == pytest.approx(alone, rel=1e-7 if name in EXACT else 1e-4)
    found = json.loads((pair / name / "metrics.json").read_text())
    assert found["machine"]["processes"] == "2"


@pytest.mark.engines
@pytest.mark.parametrize("name", two_processes.MEASURED)
def test_two_processes_measure_what_one_measures(name, pair, tmp_path, carded):
    model, settings = two_processes.MEASURED[name]
    two_processes.fit(model, tmp_path / "alone", settings)
    cards = [
        {
            one["name"]: one["value"]
            for one in json.loads(file.read_text())["card"]
            if one["group"] != "cost"
        }
        for file in (tmp_path / "alone" / "metrics.json", pair / name / "metrics.json")
    ]
    assert cards[1] == pytest.approx(cards[0], rel=1e-3, abs=1e-5)


@pytest.mark.engines
@pytest.mark.parametrize("name", two_processes.STOPPED)
def test_a_run_of_two_processes_resumes_exactly_and_in_another_number(name, pair):
    """But for the last digit of a classical model, whose sums are completed where it stops."""
    whole = numbers(pair / f"whole {name}")
    rounding = 1e-14 if name in EXACT else 0
    assert numbers(pair / f"same {name}") == pytest.approx(whole, rel=rounding, abs=0)
    stopped = json.loads((pair / f"other {name}" / "status.json").read_text())
    assert stopped["state"] == "interrupted" and stopped["step"] % 15 > 0, "it was within an epoch"
    two_processes.fit(name, pair / f"other {name}", two_processes.STOPPED[name][1])
    assert numbers(pair / f"other {name}") == pytest.approx(whole, rel=1e-4)


@pytest.mark.engines
def test_a_measure_that_fails_in_one_process_is_left_out_and_the_others_are_there(pair):
    metrics = json.loads((pair / "a measure less" / "metrics.json").read_text())
    assert "no more pivots" in json.dumps(metrics["diagnosis"])
    groups = {one["group"] for one in metrics["card"]}
    assert "representation" in groups and "reconstruction" not in groups


@pytest.mark.engines
def test_an_error_in_one_process_is_on_record(pair):
    status = json.loads((pair / "failed" / "status.json").read_text())
    assert status["state"] == "failed" and "no more paper" in status["reason"]
