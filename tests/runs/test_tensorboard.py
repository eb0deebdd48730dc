"""What TensorBoard's server makes of a mixed sweep: read as JSON, as its page reads it."""

import json
import time
import urllib.parse
import urllib.request
import warnings

import pytest
import torch
from helpers.configs import small_config
from PIL import Image

from genbench.experiment import run
from genbench.runs.projector import write_projection

pytestmark = pytest.mark.usefixtures("drawn")

RUNS = {"pca": [], "vae": ["beta=4", "latent_dim=2", "schedule=constant"], "kmeans": [], "wgan": []}


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """A function that asks a server of a folder of runs, one of which has been resumed."""
    folder = tmp_path_factory.mktemp("sweep")
    for name, overrides in RUNS.items():
        run(
            small_config(name, "epochs=2", "evaluation=quick", *overrides),
            folder / name,
            title=f"{name} here",
        )
    run(
        small_config("vae", "epochs=3", "evaluation=quick", *RUNS["vae"]),
        folder / "vae",
        title="vae here",
    )
    with warnings.catch_warnings():  # TensorBoard's own
        warnings.simplefilter("ignore")
        from tensorboard import program

        board = program.TensorBoard()
        board.configure(argv=[None, "--logdir", str(folder), "--port", "0", "--load_fast", "false"])
        url = board.launch()

    def asked(path, body=None, **query):
        request = urllib.request.Request(
            f"{url}data/{path}?{urllib.parse.urlencode(query)}",
            headers={"Content-Type": "application/json"},
        )
        request.data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    for _ in range(300):
        if (
            len(asked("runs")) == len(RUNS)
            and len(asked("plugin/scalars/tags").get("wgan", {})) > 5
        ):
            break
        time.sleep(0.1)
    return asked


def test_there_is_one_run_per_run_and_each_point_once(ask):
    assert set(ask("runs")) == set(RUNS)
    points = ask("plugin/scalars/scalars", run="vae", tag="train/loss")
    assert [step for _, step, _ in points] == [1, 2, 3]


def test_sections_are_kinds_and_cards_are_runs(ask):
    tags = ask("plugin/images/tags")
    assert set(tags["vae"]) == {
        f"{kind}/vae here"
        for kind in [
            "samples",
            "reconstructions",
            "codes",
            "interpolation",
            "traversal",
            "manifold",
            "film",
        ]
    }
    assert all(card.endswith("/pca here") for card in tags["pca"])
    shown = ask("plugin/images/images", run="vae", tag="samples/vae here")
    assert [image["step"] for image in shown] == [1, 2, 3]


def test_hparams_compare_models_with_all_their_columns(ask):
    experiment = ask("plugin/hparams/experiment", {"experimentName": ""})
    columns = [info["name"] for info in experiment["hparamInfos"]]
    assert columns[0] == "Model"
    columns = set(columns)
    assert {"Model", "dataset", "beta", "lambda", "latent_dim", "n_components", "seed"} <= columns
    assert not columns & {"model.class", "dataset.loader", "device", "epochs"}
    measured = {info["name"]["tag"] for info in experiment["metricInfos"]}
    assert {"final/test_negative_elbo", "final/test_inertia", "final/mse: 360 test"} <= measured
    (fid,) = (
        tag for tag in measured if tag.startswith("final/fid: 360 each, features of classifier ")
    )
    statuses = [f"STATUS_{s}" for s in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")]
    asked = {
        "experimentName": "",
        "colParams": [],
        "startIndex": 0,
        "sliceSize": 100,
        "allowedStatuses": statuses,
    }
    groups = ask("plugin/hparams/session_groups", asked)
    assert groups["totalSize"] == len(RUNS)
    rows = {group["hparams"]["Model"]: group for group in groups["sessionGroups"]}
    assert rows["vae"]["hparams"]["beta"] == 4 and "beta" not in rows["pca"]["hparams"]
    assert all(group["sessions"][0]["status"] == "STATUS_SUCCESS" for group in rows.values())
    final = {value["name"]["tag"]: value["value"] for value in rows["pca"]["metricValues"]}
    assert final["final/epochs"] == 1
    stored = ask("plugin/scalars/scalars", run="pca", tag=fid)[-1][2]
    assert final[fid] == pytest.approx(stored)
    assert all(
        fid in {value["name"]["tag"] for value in row["metricValues"]} for row in rows.values()
    ), "across models"


def test_custom_scalars_have_a_chart_for_every_term_of_every_model(ask):
    (category,) = ask("plugin/custom_scalars/layout")["category"]
    charts = {chart["title"]: chart["multiline"]["tag"] for chart in category["chart"]}
    assert len(charts) == len(category["chart"]), "none twice"
    assert {"loss", "kl", "squared_error", "inertia", "gap", "lr"} <= charts.keys()
    assert charts["kl"] == ["train/kl", "validation/kl"]


def test_each_row_of_the_projector_is_one_point(tmp_path):
    images = torch.arange(5.0)[:, None, None, None].expand(5, 1, 8, 8) / 5
    write_projection(tmp_path, "codes", torch.arange(10.0).view(5, 2), list("edcba"), images)
    codes = [
        line.split("\t") for line in (tmp_path / "projector/codes.tsv").read_text().splitlines()
    ]
    assert codes == [[f"{2 * i}", f"{2 * i + 1}", "0"] for i in range(5)]
    assert (tmp_path / "projector/labels.tsv").read_text().split() == list("edcba")
    with Image.open(tmp_path / "projector/thumbnails.png") as sheet:
        assert sheet.size == (
            72,
            48,
        )  # three to a row, the next whole number above the root of five
        shown = [sheet.getpixel((24 * (i % 3) + 12, 24 * (i // 3) + 12)) for i in range(5)]
        assert shown == [51 * i for i in range(5)]
    write_projection(tmp_path, "codes", torch.rand(4, 3), None, torch.rand(4, 3, 300, 150))
    with Image.open(tmp_path / "projector/thumbnails.png") as sheet:
        assert sheet.size == (64, 128), "large pictures are made smaller"


def test_the_projector_has_codes_labels_and_thumbnails(ask):
    assert set(ask("plugin/projector/runs")) == {"pca", "vae"}
    (shown,) = ask("plugin/projector/info", run="vae")["embeddings"]
    assert shown["tensorName"] == "codes of vae here" and shown["tensorShape"] == [180, 3], (
        "padded to three columns"
    )
    assert shown["metadataPath"].endswith("labels.tsv") and shown["sprite"]["singleImageDim"] == [
        24,
        24,
    ]
