"""Which runs count as repetitions of one another."""

import json

import numpy as np
import pytest
from helpers.configs import config_of
from helpers.reports import best, card, only, page, pictures_in, read_csv, sure
from PIL import Image


def on(digest, device="cpu", **more):
    """What metrics.json says of the data with this digest, and of where the run was computed."""
    return {"data": {"digest": digest}, "machine": {"device": device}, **more}


@pytest.mark.parametrize("more", [{}, {"seed": 1}])
def test_runs_on_other_data_are_never_averaged_and_are_called_by_their_folders(left, more, capsys):
    for seed, (root, extra) in enumerate({"cats": {}, "dogs": more}.items()):
        settings = {"seed": seed, **pictures_in(root, **extra)}
        left(
            "pca",
            settings,
            dataset="image-folder",
            metrics=card(("fid", seed, sure(seed))) | on(root * 16),
        )
    report = left.report()
    assert "2 runs in 2 settings on 2 datasets" in report.counts and best(report) == set()
    shown = capsys.readouterr().out
    for text in (shown, page(left.folder).words, (left.folder / "report.md").read_text()):
        assert "2 seeds" not in text and "image-folder (dogs)" in text
        assert "Runs on different data are not compared: image-folder (cats) and" in " ".join(
            text.split()
        )
    own = ["image-folder (cats)", "image-folder (dogs)"]
    assert [row["dataset"] for row in read_csv(left.folder)] == own
    assert not more or [row["dataset.seed"] for row in read_csv(left.folder)] == ["0", "1"]


def test_data_are_known_by_their_content_and_not_by_their_folder(left):
    for seed, (root, digest) in enumerate(
        (("a/cats", "1" * 64), ("b/cats", "1" * 64), ("b/cats", "2" * 64), ("c", ""), ("d/c", ""))
    ):
        found = card(("fid", 1.0, {})) | (on(digest) if digest else {"machine": {"device": "cpu"}})
        left("pca", {"seed": seed, **pictures_in(root)}, dataset="image-folder", metrics=found)
    rows = left.report().rows
    assert [len(row.runs) for row in rows] == [2, 1, 1, 1], (
        "the same pictures elsewhere are the same data"
    )
    names = ["cats, 11111111", "cats, 22222222", "c, from /pictures/c", "c, from /pictures/d/c"]
    assert [row.dataset for row in rows] == [f"image-folder ({name})" for name in names]


def test_published_data_are_named_by_their_folder_only_where_there_are_others(left):
    published = config_of("pca", dataset="mnist")["dataset"]

    def on_mnist(root, digest, seed):
        changes = {"seed": seed, "dataset": published | {"root": root}}
        left("pca", changes, dataset="mnist", metrics=card(("fid", 1.0, {})) | on(digest))

    on_mnist("/some/data", "1", 0)
    assert [row.dataset for row in left.report().rows] == ["mnist"]
    on_mnist("/other/noisy", "2", 1)
    assert [row.dataset for row in left.report().rows] == ["mnist (data)", "mnist (noisy)"]


def test_only_what_can_change_a_result_tells_runs_apart(left):
    for patience, every in ((None, 1), (None, 2), (5, 1), (5, 2)):
        left(
            "gmm",
            {"patience": patience, "validate_every": every},
            metrics=card(("fid", 1.0, {})) | on("1"),
        )
    left(
        "gmm",
        {"evaluation": "quick", "save_every": 9, "draw_every": 9},
        metrics=card(("fid", 2.0, {"n": {"samples": 9}}), ("kid", 1.0, {})) | on("1"),
    )
    left("gmm", {"device": "cuda"}, metrics=card(("fid", 3.0, {})) | on("1", device="cuda"))
    report = left.report()
    assert (
        "4 runs in 4 settings; 2 repetitions (the same settings, seed and data) counted once"
        in report.counts
    )
    assert [row.settings["device"] for row in report.rows] == ["cpu", "cpu", "cpu", "cuda"]
    assert [row.settings.get("validate_every") for row in report.rows] == [None, 1, 2, None]
    measured = [
        sorted(v.mean for q, v in row.cells.items() if q.group == "samples") for row in report.rows
    ]
    assert measured == [[1, 1, 2], [1], [1], [3]]
    assert read_csv(left.folder)[0]["runs"] == "4_gmm 0_gmm 1_gmm", (
        "what was measured by any of them is in its row"
    )


def test_a_sweep_over_folders_has_a_row_for_each(genbench, tmp_path):
    rng = np.random.default_rng(0)
    for root in ("cats", "dogs"):
        for i in range(12):
            (tmp_path / root / "some").mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(
                tmp_path / root / "some" / f"{i}.png"
            )
    command = [
        "-m",
        "model=pca",
        "dataset=image-folder",
        "dataset.root=cats,dogs",
        "device=cpu",
        "latent_dim=2",
        "hydra.sweep.dir=s",
    ]
    done = genbench(*command)
    assert done.returncode == 0 and "2 runs in 2 settings" in done.stdout
    assert [row["dataset"] for row in read_csv(tmp_path / "s")] == [
        "image-folder (cats)",
        "image-folder (dogs)",
    ]
    blocks = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("s/*/metrics.json"))]
    assert len({found["data"]["digest"] for found in blocks}) == 2 and {
        found["machine"]["device"] for found in blocks
    } == {"cpu"}
    assert blocks[0]["model"] == {
        "abilities": ["encode", "decode", "codes", "sample", "log_prob"],
        "sampler": "prior + noise",
        "standardized": False,
    }


def test_a_setting_without_effect_tells_no_runs_apart(left):
    """Without patience, validate_every only says when to look; with steps, epochs follow."""
    for patience in (None, 2):
        left("gmm", {"patience": patience}, metrics=card(("fid", 1.0, {})))
    assert only(left.report()).settings == ["patience"]
    ring = {"dataset": "ring", "metrics": card(("fid", 1.0, {}))}
    left("gan", {"steps": 6000}, **ring)
    left("gan", {"steps": None}, **ring)
    (section,) = (s for s in left.report().sections if s.dataset == "ring")
    assert ["epochs" in row.settings for row in section.rows] == [False, True]
    assert section.settings == ["steps"]
