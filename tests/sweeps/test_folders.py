"""Folders of jobs: their names, their owner, and files of others, which are left alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import put
from helpers.sweeps import PCA, TINY, files, states, summary


def test_a_link_in_place_of_a_jobs_folder_is_not_followed(genbench, uncurved, tmp_path):
    assert genbench(*PCA, "latent_dim=2,3").returncode == 0
    job = next(Path("sweep").glob("*latent_dim-2"))
    before = [*files(job).values()]
    job.rename(tmp_path / "elsewhere")
    job.symlink_to(tmp_path / "elsewhere")
    done = genbench(*PCA, "latent_dim=2,3")
    assert (
        done.returncode == 0
        and "2 of 2 jobs done (1 already)" in done.stdout
        and [*files(tmp_path / "elsewhere").values()] == before
    )
    assert len(summary()[0]["directory"]) == len(job.name) + 9


def test_nothing_in_a_swept_value_leads_out_of_the_sweep_or_into_another_job(moody, tmp_path):
    values = ["a/b", "../x", "..", "ü ß", "it's", 'say "a b"', "a b", "a-b", "x" * 300]
    texts = ['"' + value.replace('"', '\\"') + '"' for value in values]
    outside = {path.name for path in tmp_path.iterdir()} | {'my sweép\'s "1"'}
    done = moody("tag=" + ",".join(texts), folder='"my sweép\'s \\"1\\""')
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("my*")
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    assert {path.name for path in tmp_path.iterdir()} == outside and len(names) == len(values)
    assert all(len(name.encode()) <= 80 for name in names) and not list(
        folder.glob("*/*/config.yaml")
    )
    assert moody("tag=" + ",".join(texts), folder='"my sweép\'s \\"1\\""').stdout.startswith(
        f"{len(values)} of {len(values)} jobs done ({len(values)} "
    )


def test_a_sweep_belongs_to_one_process_at_a_time(genbench, uncurved):
    code = "from genbench.utils.lock import Lock; from pathlib import Path; lock = Lock(Path('sweep')); lock.acquire(); lock.write_owner(); "
    code += "print(flush=True); input()"
    assert (
        genbench(*PCA, "latent_dim=2").returncode == 0 and Path("sweep", ".lock").read_text() == ""
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        before = files()
        done = genbench(*PCA, "latent_dim=2,3")
        assert (
            done.returncode == 2
            and f"process {other.pid} is at work here" in done.stderr
            and "hydra.sweep.dir=" in done.stderr
        )
        assert genbench(*PCA, "latent_dim=2").returncode == 0 and files() == before
        other.communicate(b"\n")
    assert genbench(*PCA, "latent_dim=2,3").returncode == 0


@pytest.mark.engines
@pytest.mark.parametrize("kind", ["a link", "a pipe", "a device"])
def test_hydra_writes_through_nothing_that_leads_elsewhere(kind, genbench, tmp_path):
    pytest.importorskip("submitit")
    Path("sweep").mkdir()
    for name in ("multirun.yaml", ".submitit"):
        put(kind, Path("sweep", name), tmp_path / "outside")
        before = files()
        done = genbench(*PCA, "latent_dim=2,3", "hydra/launcher=submitit_local")
        assert (
            done.returncode == 2
            and f"holds {name}, " in done.stderr
            and "hydra.sweep.dir=FOLDER" in done.stderr
        )
        assert files() == before
        Path("sweep", name).unlink()


def test_hydra_changes_a_file_with_a_second_name_elsewhere_under_its_own_name_only(
    genbench, tmp_path
):
    Path("sweep").mkdir()
    Path("theirs").write_text("somebody else's")
    os.link("theirs", "sweep/multirun.yaml")
    assert genbench(*PCA, "latent_dim=2", "hydra/sweeper=basic").returncode == 0
    assert (
        Path("theirs").read_text() == "somebody else's"
        and "hydra" in Path("sweep/multirun.yaml").read_text()
    )


@pytest.mark.parametrize(
    "word",
    [
        *(
            "hydra.output_subdir=.hydra",
            "++hydra.output_subdir=x",
            "hydra/job_logging=default",
            "hydra.mode=MULTIRUN",
        ),
        *("hydra.job_logging.root.level=INFO", "hydra/output=default"),
        *(
            "hydra.run.dir=",
            "hydra.run.dir=''",
            "+hydra.sweep.dir=",
            "hydra.run.dir=null",
            "~hydra.run.dir",
        ),
    ],
)
def test_hydra_keeps_no_files_of_its_own_in_folders_of_runs_and_each_folder_has_a_name(
    word, genbench, tmp_path
):
    for more in ([], ["-m"]):
        done = genbench("model=pca", *TINY, *more, word)
        assert done.returncode == 2 and "hydra" in done.stderr and not list(tmp_path.iterdir())


NOT_OURS = [
    ("config.yaml", "epochs: 3\nmodel: {name: mine}\ndataset: {name: mine}\n"),
    ("config.yaml", "[project"),
    ("metrics.json", '{"accuracy": 0.9}'),
    ("status.json", '{"state": "done"}'),
    ("samples.png", "mine"),
    ("codes.png", "mine"),
    ("samples.gif", "mine"),
    ("run.log", "mine"),
    (".lock", "mine"),
    ("projector_config.pbtxt", "mine"),
]


@pytest.mark.parametrize(("name", "content"), NOT_OURS)
def test_files_that_no_run_has_written_are_left_alone(name, content, genbench):
    Path("project").mkdir()
    Path("project", name).write_text(content)
    before = files()
    done = genbench("model=pca", *TINY, "hydra.run.dir=project")
    assert done.returncode == 2 and f"holds {name}, which no run of genbench wrote" in done.stderr
    assert files() == before


@pytest.mark.parametrize(("name", "content"), [NOT_OURS[0], NOT_OURS[2], NOT_OURS[4]])
def test_a_job_has_another_folder_than_one_with_files_that_no_run_has_written(
    name, content, genbench, uncurved
):
    Path("sweep", "pca").mkdir(parents=True)
    Path("sweep", "pca", name).write_text(content)
    done = genbench(*PCA)
    assert done.returncode == 0 and states() == ["done"]
    assert Path("sweep", "pca", name).read_text() == content
    assert len([*Path("sweep").glob("pca?*/metrics.json")]) == 1


@pytest.mark.parametrize("text", ['{"mine": 1}', "mine", '{"command": 1, "jobs": []}'])
def test_a_summary_that_no_sweep_has_written_is_set_aside(text, genbench, uncurved):
    Path("sweep").mkdir()
    Path("sweep", "sweep_summary.json").write_text(text)
    done = genbench(*PCA)
    assert done.returncode == 0 and states() == ["done"]
    assert Path("sweep", "sweep_summary.json.damaged").read_text() == text
    assert "sweep_summary.json is damaged, and set aside" in done.stdout + done.stderr


def test_a_run_and_a_sweep_never_share_a_folder(genbench, uncurved):
    assert genbench(*PCA).returncode == 0
    assert genbench("model=pca", *TINY, "hydra.run.dir=run").returncode == 0
    before = files(), files("run")
    done = genbench("model=pca", *TINY, "hydra.run.dir=sweep")
    assert done.returncode == 2 and "sweep: is the folder of a sweep" in done.stderr
    for sweeper in ("genbench", "basic"):
        words = [*PCA[:-1], "hydra.sweep.dir=run", f"hydra/sweeper={sweeper}"]
        done = genbench(*words)
        assert done.returncode == 2 and "run: is the folder of a run" in done.stderr
    assert (files(), files("run")) == before


def test_files_whose_names_only_resemble_those_of_a_run_are_kept(genbench):
    names = ["finished-thesis.pt", ".notes.2024.tmp", "notes.txt"]
    Path("run").mkdir()
    for name in names:
        Path("run", name).write_text("mine")
    for _ in range(2):
        assert genbench("model=pca", *TINY, "hydra.run.dir=run").returncode == 0
        assert all(Path("run", name).read_text() == "mine" for name in names)


def test_a_job_never_runs_behind_a_link_whatever_its_name(genbench):
    for folder in ("sweep", "victim"):
        Path(folder).mkdir()
    Path("victim", "codes.png").write_text("mine")
    for _ in range(3):  # each link has the name that the job would take next
        assert genbench(*PCA, "latent_dim=2").returncode == 0
        (ran,) = (path for path in Path("sweep").glob("pca*") if not path.is_symlink())
        shutil.rmtree(ran)
        ran.symlink_to(Path("victim").resolve())
    assert genbench("resume", "sweep").returncode == 0 and states() == ["done"]
    assert [path.name for path in Path("victim").iterdir()] == ["codes.png"]


@pytest.mark.parametrize(
    "lost",
    [
        ["config.yaml", "status.json"],
        ["status.json"],
        ["config.yaml"],
        ["metrics.json", "config.yaml"],
    ],
)
def test_a_run_is_known_as_one_by_any_trace_of_it(lost, genbench):
    assert genbench("model=pca", *TINY, "hydra.run.dir=run").returncode == 0
    for name in lost:
        Path("run", name).write_text("no longer readable: [")
    assert genbench("model=pca", *TINY, "hydra.run.dir=run").returncode == 0
    assert json.loads(Path("run", "status.json").read_text())["state"] == "done"
