"""What is asked of a finished run: samples, reconstructions, interpolations, traversals."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tracemalloc
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.configs import sketch, small_config
from PIL import Image
from scipy import ndimage

from genbench import load
from genbench.cli import generate
from genbench.cli.completion import candidates
from genbench.cli.generate import GENERATE_COMMANDS as GENERATED
from genbench.cli.main import COMMANDS
from genbench.config.registry import builtin_registry
from genbench.data.types import Data, DataSpec, Split
from genbench.figures import images as pictures
from genbench.figures import latent, reconstructions, samples
from genbench.figures.renderer import FigureRenderer
from genbench.figures.scene import Scene
from genbench.model import supports
from genbench.sweeps.launch import execute
from genbench.utils import signals
from genbench.utils.rng import generator

pytestmark = pytest.mark.usefixtures("drawn")

CATALOGUE = builtin_registry()
ASKED = [*GENERATED]
LINE = [
    "dataset.means=[[-1.0],[1.0]]",
    "dataset.scales=[0.2,0.3]",
    "dataset.weights=[1.0,1.0]",
    "latent_dim=1",
]
FEW = ["dataset.size=400", "dataset.val_size=200", "dataset.test_size=50"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run with these words, made once, which tests leave as it is."""

    @cache
    def run(model, *words, dataset="digits"):
        folder = tmp_path_factory.mktemp("finished") / model
        with pytest.MonkeyPatch.context() as patch:
            for some in ("watched", "finished"):
                patch.setattr(FigureRenderer, some, sketch)
            execute(
                small_config(model, "epochs=1", "upscaling=nearest", *words, dataset=dataset),
                folder,
                CATALOGUE,
            )
        return folder

    return run


@pytest.fixture
def ask(genbench, tmp_path):
    """Ask a command of a run; returns the arrays and the picture, if there is one."""

    def asked(command, folder, *options, says=""):
        done = genbench(command, str(folder), "to=asked", "device=cpu", *options)
        assert done.returncode == 0, done.stderr
        (file,), pictures = (
            (tmp_path / "asked").glob("*.npz"),
            [*(tmp_path / "asked").glob("*.png")],
        )
        assert says in done.stdout and all(path.name in done.stdout for path in (file, *pictures))
        arrays = dict(np.load(file))
        assert all(array.dtype == np.float32 for array in arrays.values())
        picture = Image.open(io.BytesIO(pictures[0].read_bytes())) if pictures else None
        shutil.rmtree(tmp_path / "asked")
        return arrays, picture

    return asked


def cells(picture, side=8):
    """How many images of so many pixels a side, enlarged by some factor, are in a picture, and in how many rows."""
    apart, _ = ndimage.label(np.asarray(picture.convert("L")) < 255)
    found = [
        (rows.start, rows.stop - rows.start, columns.stop - columns.start)
        for rows, columns in ndimage.find_objects(apart)
    ]
    large = [
        (top, high)
        for top, high, wide in found
        if high == wide and high % side == 0 and high >= 2 * side
    ]
    return len(large), len({top for top, _ in large})


def test_samples_are_those_of_sample_from_python(finished, ask):
    folder = finished("vae")
    arrays, picture = ask("sample", folder, "n=11", "seed=3")
    assert np.array_equal(arrays["samples"], load(folder, device="cpu").sample(11, seed=3)) and [
        *arrays
    ] == ["samples"]
    assert cells(picture) == (11, 2)


def test_a_wanted_class_is_drawn(finished, ask, unrendered, genbench):
    folder = finished("cvae")
    three, any_class = ask("sample", folder, "n=4", "y=3")[0], ask("sample", folder, "n=4")[0]
    trained = load(folder, device="cpu")
    assert np.array_equal(three["samples"], trained.sample(4, seed=0, y=3))
    assert np.array_equal(any_class["samples"], trained.sample(4, seed=0))
    for model, y, says in (
        ("cvae", 10, "labels are whole numbers from 0 to 9"),
        ("vae", 3, "does not depend on labels"),
    ):
        done = genbench("sample", str(finished(model)), f"y={y}")
        assert done.returncode == 2 and says in done.stderr


def test_how_samples_are_drawn_can_be_chosen_after_training(finished, ask, unrendered, genbench):
    folder = finished("flow", "network=mlp", "conditional=true")
    trained, words = load(folder, device="cpu"), ("n=4", "y=3")
    usual = ask("sample", folder, *words)[0]["samples"]
    led = ask("sample", folder, *words, "guidance=3")[0]["samples"]
    assert np.array_equal(led, trained.sample(4, 0, 3, guidance=3.0))
    assert not np.allclose(led, usual)
    one = ask("sample", folder, *words, "sampler=euler", "sampling_steps=1")[0]["samples"]
    model, rng = trained.model, generator(0, "sample")
    noise = model.source.draw(4, rng)
    with torch.no_grad():
        velocity = model.output(model.network, noise, torch.ones(1), torch.full((4,), 3))
    low, high = model.standard(torch.zeros(())), model.standard(torch.ones(()))
    x = model.restored((noise - velocity).clamp(low, high)).clamp(0, 1)
    np.testing.assert_allclose(one, x, atol=1e-5)
    assert model.settings.sampling_steps != 1  # the run's own are what they were
    assert np.array_equal(usual, trained.sample(4, 0, 3))
    free = finished("flow", "network=mlp")
    for run, word, says in (
        (finished("vae"), "guidance=2", "guidance: cannot be chosen after training"),
        (finished("vae"), "sampler=euler", "sampler: cannot be chosen after training"),
        (free, "guidance=2", "guidance: has no effect with conditional=False"),
        (free, "sampler=langevin", "sampler: needs path=ve, not rectified"),
        (free, "sampler=walkback", "sampler: must be langevin | ancestral"),
    ):
        done = genbench("sample", str(run), word)
        assert done.returncode == 2 and says in done.stderr


def test_reconstructions_are_of_the_first_points_of_a_part(finished, ask):
    folder = finished("vae")
    trained = load(folder, device="cpu")
    for part in ("validation", "test"):
        arrays, picture = ask("reconstruct", folder, "n=9", f"part={part}")
        x = trained.data.splits[part].values(slice(9))
        assert np.array_equal(arrays["originals"], x) and np.array_equal(
            arrays["reconstructions"], trained.decode(trained.encode(x))
        )
        assert cells(picture) == (18, 4), (
            "the ninth has a row of its own, and so has its reconstruction"
        )


def test_an_interpolation_ends_at_the_codes_of_its_end_points(finished, ask):
    folder = finished("cvae")
    trained = load(folder, device="cpu")
    arrays, picture = ask("interpolate", folder, "n=2", "steps=5")
    test = trained.data.splits["test"]
    x, y = test.values(slice(4)), test.y[:4]
    codes = trained.encode(x, y=y)
    assert np.array_equal(arrays["originals"].reshape(x.shape), x) and arrays["codes"].shape == (
        2,
        5,
        3,
    )
    assert np.array_equal(arrays["codes"][:, 0], codes[::2]) and np.array_equal(
        arrays["codes"][:, 4], codes[1::2]
    )
    assert np.allclose(arrays["codes"][:, 2], (codes[::2] + codes[1::2]) / 2)
    for i, points in enumerate(arrays["points"]):
        assert np.array_equal(points, trained.decode(arrays["codes"][i], y=[int(y[2 * i])] * 5)), (
            "all of the class it starts at"
        )
    assert cells(picture) == (2 * (5 + 2), 2)


@pytest.mark.parametrize("model", ["ae", "gan"])
def test_a_traversal_moves_one_latent_at_a_time(model, finished, ask):
    folder = finished(model)
    trained = load(folder, device="cpu")
    arrays, picture = ask("traverse", folder, "steps=4", "range=2")
    wider, _ = ask("traverse", folder, "steps=4", "range=4")
    codes = arrays["codes"]
    assert codes.shape == (3, 4, 3) and cells(picture) == (12, 3)
    for i, line in enumerate(codes):
        others = [j for j in range(3) if j != i]
        assert (line[:, others] == line[0, others]).all() and np.ptp(line[:, i]) > 0
        assert np.allclose(np.diff(line[:, i]), np.ptp(line[:, i]) / 3, rtol=1e-4)
        assert np.ptp(wider["codes"][i, :, i]) == pytest.approx(2 * np.ptp(line[:, i]), rel=1e-4)
        assert np.array_equal(arrays["points"][i], trained.decode(line))
    if supports(trained.model, "encode"):
        first = trained.encode(trained.data.splits["test"].values(slice(1)))[0]
        assert all(
            np.array_equal(codes[i, 0, j], first[j]) for i in range(3) for j in range(3) if i != j
        )
        drawn = trained.model.codes(
            5000, FigureRenderer(trained.data, 0, "", "test").rng("usual codes")
        )
        assert np.allclose(
            [np.ptp(codes[i, :, i]) for i in range(3)], 4 * drawn.std(0, correction=0), rtol=1e-4
        )


def test_every_model_can_do_what_its_abilities_allow_and_nothing_else(
    model_name, finished, ask, genbench, unrendered
):
    folder = finished(model_name)
    model = load(folder, device="cpu").model
    able = {
        "sample": supports(model, "sample"),
        "reconstruct": supports(model, "encode", "decode"),
        "interpolate": supports(model, "encode", "decode") and model.latent_dim is not None,
        "traverse": supports(model, "decode") and model.latent_dim is not None,
    }
    assert [*able] == [command for command in COMMANDS if command in ASKED] and any(able.values())
    for command, possible in able.items():
        if possible:
            arrays, picture = ask(command, folder)
            assert picture is not None and all(
                np.isfinite(array).all() for array in arrays.values()
            )
        else:
            done = genbench(command, str(folder), "to=nowhere")
            others = ", ".join(other for other in able if able[other])
            assert done.returncode == 2 and f"what can be asked of it is {others}\n" in done.stderr


def test_other_data_than_images_have_what_picture_there_is(finished, ask, unrendered):
    plane = finished("vae", *FEW, "latent_dim=2", dataset="gaussians")
    line = finished("pca", *LINE, *FEW, dataset="gaussians")
    for command in ASKED:
        assert ask(command, plane)[1] is not None, command
        picture = ask(
            command,
            line,
            says="" if command == "sample" else f"no picture: {command} has none of points [1]",
        )[1]
        assert (picture is not None) == (command == "sample")
    table = Data(
        "made",
        {part: Split(torch.rand(9, 5), None) for part in ("train", "test")},
        DataSpec((5,), unit=True),
    )
    viewer = FigureRenderer(table, 0, "title")
    viewer.at(1)
    assert samples.draw_samples(viewer, torch.rand(3, 5)) is not None
    assert (
        reconstructions.draw_reconstructions(viewer, torch.rand(12, 5), torch.rand(12, 5))
        is not None
    )


def test_a_runs_own_files_stay_as_they_are_and_the_same_words_give_the_same_bytes(
    finished, genbench
):
    folder = finished("vae")
    own = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    made = []
    for _ in range(2):
        for command in ASKED:
            assert genbench(command, str(folder)).returncode == 0
        made.append(
            {
                path.name: path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file() and path not in own
            }
        )
        for name in made[-1]:
            (folder / name).unlink()
    names = {
        "sample_n-64_seed-0",
        "reconstruct_n-32_part-test",
        "interpolate_n-8_steps-10_part-test",
        "traverse_steps-9_range-3.0_part-test",
    }
    assert made[0] == made[1] and made[0].keys() == {
        f"{name}.{kind}" for name in names for kind in ("npz", "png")
    }
    assert own == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ending", ["npz", "png"])
def test_what_another_run_or_a_user_has_put_into_a_folder_is_not_replaced(
    ending, finished, genbench, tmp_path
):
    command = ["sample", str(finished("vae")), "n=4", f"to={tmp_path / 'shared'}"]
    for _ in range(2):
        assert genbench(*command).returncode == 0, "its own files, as they are"
    other = tmp_path / "shared" / f"sample_n-4_seed-0.{ending}"
    other.write_bytes(b"mine")
    before = {path: path.read_bytes() for path in other.parent.iterdir()}
    done = genbench(*command)
    assert done.returncode == 2 and f"{other.name}: is another file" in done.stderr, done.stderr
    assert {path: path.read_bytes() for path in other.parent.iterdir()} == before


def test_a_picture_shows_what_it_has_room_for(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures,
        "mosaic",
        lambda rows, page, zoom: drawn.append((sum(len(row.images) for row in rows), page.note)),
    )
    viewer = FigureRenderer(
        Data("made", {"test": Split(torch.rand(9, 1, 8, 8), None)}, DataSpec((1, 8, 8), unit=True)),
        0,
        "title",
    )
    viewer.at(3)
    monkeypatch.setattr(pictures, "fitting", lambda images, zoom=1: 10)
    images = torch.rand(12, 1, 8, 8)
    samples.draw_samples(viewer, images)
    reconstructions.draw_reconstructions(viewer, images, images)
    assert drawn[0] == (10, "the first 10 of 12 samples, after 3 epochs")
    assert drawn[1] == (
        10,
        "the first 5 of 12 test images, each above its reconstruction, after 3 epochs",
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "sample",
            "sample: needs the directory of a finished run; fix: genbench sample outputs/RUN",
        ),
        ("sample n=3", "sample: needs the directory of a finished run"),
        ("sample nowhere", "nowhere: is not a run directory"),
        (
            "sample RUN steps=3",
            "steps: sample has no such option (got steps=3); fix: it has n, seed, y, guidance, "
            "sampler, sampling_steps, to, device",
        ),
        (
            "reconstruct RUN prat=test",
            "prat: reconstruct has no such option (got prat=test); fix: did you mean 'part=test'?",
        ),
        ("interpolate RUN step=3", "did you mean 'steps=10'?"),
        ("traverse RUN other", "other: traverse has no such option"),
        ("traverse RUN range", "did you mean 'range=3.0'?"),
        ("sample RUN n=0", "n: must be int >= 1 (got 0)"),
        ("sample RUN n=[", "n: must be int >= 1 (got [)"),
        ("sample RUN seed=-1", "seed: must be int in [0, "),
        ("sample RUN y=three", "y: must be int >= 0 | null (got three)"),
        (
            "reconstruct RUN part=tset",
            "part: must be test | validation | train (got tset); fix: such as part=test",
        ),
        ("interpolate RUN steps=1", "steps: must be int >= 2 (got 1)"),
        ("traverse RUN range=0", "range: must be float > 0"),
        ("traverse RUN range=1e39", "range: is beyond the numbers of single precision"),
        ("sample RUN n=99999999999999999999", "n: must be a whole number that fits 64 bits"),
        ("sample RUN n=3 seed=1 n=4", "n: is given 2 times; fix: give it once"),
        ("resume RUN epochs=3 epochs=4", "epochs: is given 2 times; fix: give it once"),
        ("traverse RUN device=gpu", "device: must be auto | cpu | cuda | cuda:N | mps (got gpu)"),
    ],
)
def test_wrong_words_are_refused_before_anything_slow_is_imported(
    words, says, genbench, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "genbench.cli.generate", None)  # whoever imports it fails
    done = genbench(*words.split())
    assert done.returncode == 2 and says in done.stderr and not list(tmp_path.iterdir())


def test_a_refusal_imports_neither_torch_nor_hydra(tmp_path):
    code = "import sys; from genbench.cli.main import main\ntry: main(sys.argv[1:])\nfinally: print({'hydra', 'torch'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code, "sample", "RUN", "n=0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout.splitlines()[-1] == "set()"


def test_what_a_run_cannot_give_is_told(finished, genbench, tmp_path):
    folder = finished("vae")
    for words, says in (
        (
            ("reconstruct", "n=361"),
            "n: this takes 361 points, and the test part has 360 (got 361); fix: n=360\n",
        ),
        (
            ("interpolate", "n=200"),
            "n: this takes 400 points, and the test part has 360 (got 200); fix: n=180\n",
        ),
        (
            ("traverse", "range=3e38"),
            "range: leads to codes beyond the numbers of single precision",
        ),
        (("sample", f"to={folder}/config.yaml"), "config.yaml: is a file where a folder should be"),
        (("sample", "to=/dev/null"), "a folder should be; fix: choose another to=FOLDER"),
    ):
        done = genbench(words[0], str(folder), *words[1:])
        assert done.returncode == 2 and says in done.stderr
    without = finished("pca", "dataset.val_size=0")
    done = genbench("traverse", str(without), "part=validation")
    assert (
        done.returncode == 2
        and "part: the data of this run have no such part (got validation); fix: choose from train, test"
        in done.stderr
    )
    unfinished = shutil.copytree(folder, tmp_path / "unfinished")
    (unfinished / "metrics.json").unlink()
    before = {*unfinished.iterdir()}
    done = genbench("sample", "unfinished")
    assert (
        done.returncode == 2
        and "holds no finished run: metrics.json is not there; fix: genbench resume unfinished"
        in done.stderr
    )
    assert {*unfinished.iterdir()} == before


@pytest.mark.parametrize("command", ASKED)
def test_help_and_tab_know_every_option(command, genbench, tmp_path):
    page = genbench("help", command).stdout
    known = CATALOGUE.settings(f"command/{command}")
    for name, setting in known.items():
        assert setting.check(setting.default, {}) == setting.default, "the default is allowed"
        assert f"  {name}=" in page and " ".join(setting.meaning.split()[:3]) in page
    assert f"genbench {command} RUN_DIR" in genbench("--help").stdout
    (example,) = re.findall(rf"genbench {command} outputs/RUN (\w+)=(\S+)", page)
    known[example[0]].check(yaml.safe_load(example[1]), {})
    (tmp_path / "outputs" / "run").mkdir(parents=True)
    (tmp_path / "outputs" / "run" / "config.yaml").touch()
    (tmp_path / "outputs" / "sweep").mkdir()
    (tmp_path / "outputs" / "sweep" / "sweep_summary.json").touch()

    def offered(*words):
        return candidates([command, *words[:-1]], words[-1], CATALOGUE, COMMANDS)

    assert offered("") == ["outputs/run "] and offered("outputs/run", "to=") == []
    assert offered("outputs/run", "device=c") == ["device=cpu ", "device=cuda ", "device=cuda:0 "]
    assert offered("outputs/run", "device=cpu", "") == sorted(
        f"{name}=" for name in known if name != "device"
    )
    assert offered("outputs/run", "nonsense=") == []
    assert command + " " in candidates(["help"], command[:3], CATALOGUE, COMMANDS)


@pytest.mark.parametrize(
    ("command", "options"),
    [("sample", "n"), ("traverse", "steps"), ("interpolate", "steps")],
)
def test_more_points_than_fit_the_memory_are_refused_before_any_is_drawn(
    command, options, finished, genbench, tmp_path, monkeypatch
):
    monkeypatch.setattr("genbench.utils.memory.MEMORY", 8_000_000)
    monkeypatch.setattr("genbench.cli.generate.MEMORY", 8_000_000)
    run = str(finished("vae"))
    done = genbench(command, run, f"{options}=100000", "to=asked", "device=cpu")
    assert done.returncode == 2 and not (tmp_path / "asked").exists()
    (fix,) = re.findall(
        rf"error: {options}: [\d,]+ points would take .* GiB of memory, and half of this "
        rf"machine's is .*; fix: ({options}=\d+) at most",
        done.stderr,
    )
    assert genbench(command, run, fix, "to=asked", "device=cpu").returncode == 0


def test_the_estimate_of_memory_counts_the_copies_that_there_are():
    arrays = {"samples": torch.rand(500_000, 64)}
    size = arrays["samples"].nbytes
    tracemalloc.start()
    content = generate.packed(arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    blocks_and_whole = 2 * size
    assert len(content) >= size and max(blocks_and_whole, size + peak) < generate.COPIES * size


def test_a_run_that_cannot_be_written_is_told_at_once_with_a_way_out(
    finished, genbench, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda path, mode, **more: "vae" not in str(path))
    run = str(finished("vae"))
    for command, way in (
        ("sample", "to=FOLDER"),
        ("report", "report.dir=FOLDER"),
        ("evaluate", "vae COPY"),
        ("resume", "vae COPY"),
    ):
        done = genbench(command, run)
        assert done.returncode == 2 and f"{run}: cannot be written: " in done.stderr
        assert way in done.stderr
    assert genbench("sample", run, "n=1", "to=elsewhere").returncode == 0


def test_a_picture_shows_some_of_many_steps_and_both_ends(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures, "labelled_rows", lambda rows, page, *args, **more: drawn.append((rows, page.note))
    )
    part = Split(torch.rand(9, 1, 8, 8), None)
    viewer = FigureRenderer(
        Data("made", {"test": part}, DataSpec((1, 8, 8), unit=True)), 0, "title"
    )
    points = torch.rand(2, 900, 1, 8, 8)
    latent.draw_interpolation(viewer, torch.rand(2, 2, 1, 8, 8), points)
    found = latent.Traversal(torch.arange(2), torch.rand(2, 900, 2), points, "at their means")
    latent.draw_traversal(viewer, found, "low to high")
    (lines, note), (latents, other) = drawn
    shown = [lines["pair 1"][1:-1], latents["z1"]]
    assert all(len(x) == latent.MOST_STEPS["images"] for x in shown)
    assert all(torch.equal(x[[0, -1]], points[0, [0, -1]]) for x in shown)
    assert note.startswith("50 of 900 steps of") and other.startswith("50 of 900 steps of")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")],
)
def test_memory_that_runs_out_is_a_line_without_a_traceback(error, finished, genbench, monkeypatch):
    monkeypatch.setattr(generate, "draw_samples", lambda *args: (_ for _ in ()).throw(error))
    done = genbench("sample", str(finished("vae")), "device=cpu")
    assert (
        done.returncode == 1
        and done.stderr == "genbench: error: memory: does not suffice; fix: ask for less at once\n"
    )


@pytest.mark.parametrize(
    ("command", "option", "looks"),
    [
        ("sample", "n=5000", 5),
        ("traverse", "steps=2500", 3),
        ("interpolate", "steps=2500", 3),
        ("reconstruct", "n=150", 1),
    ],
)
def test_many_points_can_be_stopped_at_each_thousand_and_come_out_as_at_once(
    command, option, looks, finished, genbench, monkeypatch
):
    asked = []
    monkeypatch.setattr(Scene, "block", 1000 if command != "reconstruct" else 40)
    monkeypatch.setattr(
        pictures, "mosaic", lambda *args, **more: torch.zeros(9, 9, 3, dtype=torch.uint8)
    )
    words = [command, str(finished("vae")), option, "device=cpu"]
    monkeypatch.setattr(signals, "check", lambda: asked.append(len(asked)))
    assert genbench(*words, "to=whole").returncode == 0 and len(asked) > looks
    for last in (0, len(asked) - 1):
        left = iter([None] * last)
        monkeypatch.setattr(signals, "check", lambda left=left: next(left, STOP) is STOP and stop())
        assert genbench(*words, "to=stopped").returncode == 143
    monkeypatch.setattr(signals, "check", lambda: None)
    monkeypatch.setattr(Scene, "block", 10**6)
    monkeypatch.setattr("genbench.trained.BLOCK", 1000)
    assert genbench(*words, "to=again").returncode == 0
    files = [next(Path(folder).glob("*.npz")) for folder in ("whole", "again")]
    with np.load(files[0]) as one, np.load(files[1]) as other:
        assert all(np.allclose(one[name], other[name], atol=1e-6) for name in one)


STOP = object()


def stop():
    """What `check` does once the program is asked to stop."""
    raise signals.Interrupted(signal.SIGTERM)


def test_points_of_a_table_are_written_as_the_table_that_they_came_from(
    finished, genbench, tmp_path
):
    rng = np.random.default_rng(0)
    given = pd.DataFrame(rng.random((60, 2)), columns=["size (cm)", "weight"])
    given = given.assign(count=rng.integers(0, 9, 60), kind=[*"abc"] * 20, label=[0, 1] * 30)
    given.to_csv(tmp_path / "t.csv", index=False)
    folder = finished(
        "pca", "evaluation=none", f"dataset.path={tmp_path / 't.csv'}", dataset="table"
    )
    genbench("sample", str(folder), "n=7", f"to={tmp_path / 'new.csv'}")
    samples = pd.read_csv(tmp_path / "new.csv")
    columns = given.drop(columns="label")
    assert len(samples) == 7 and (samples.dtypes == columns.dtypes).all()
    assert set(samples["kind"]) <= set("abc")
    genbench("reconstruct", str(folder), "n=5", f"to={tmp_path / 'again.tsv'}")
    again = pd.read_csv(tmp_path / "again.tsv", sep="\t")
    assert list(again.columns) == list(given.columns)
    done = genbench("sample", str(folder), f"to={tmp_path / 'new.csv'}", "seed=1")
    assert done.returncode == 2 and "is another file" in done.stderr
    images = finished("pca", "evaluation=none")
    done = genbench("sample", str(images), f"to={tmp_path / 'x.csv'}")
    assert "the data of this run are no table" in done.stderr
