"""What a person sees of runs and sweeps: within a screen at the end of a run, a line per job, nothing but lines in a pipe."""

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from genbench.config.registry import builtin_registry
from genbench.config.request import check_request
from genbench.evaluation.registry import headlines, measures
from genbench.runs import progress, summary
from genbench.runs.progress import Display, terms
from genbench.runs.summary import brief_run, headline, show_run
from genbench.runs.sweep_summary import swept
from genbench.sweeps.display import JobDisplay
from genbench.sweeps.sweep import Sweep
from genbench.utils.console import PipeSafeConsole
from genbench.utils.text import counted, duration, quoted

SCREEN = 24  # lines of 80 columns
TINY = ["epochs=2", "dataset.limit=60", "device=cpu"]
POINT = {
    "train": {"nll": 90.1, "kl": 11.2, "loss": 133.17, "lr": 0.001},
    "validation": {"nll": 95.2, "kl": 10.9, "loss": 138.58},
}


def printed(is_terminal: bool = False, width: int = 80) -> PipeSafeConsole:
    """A console that keeps what it prints."""
    return PipeSafeConsole(
        file=io.StringIO(), force_terminal=is_terminal, width=width, highlight=False, soft_wrap=True
    )


def entry(name: str, value: float = 0.123456, group: str = "samples") -> dict:
    """A number of a report card."""
    sizes = {
        "n": {"samples": 360, "test": 360},
        "on": "test",
        "features": "values",
        "of": "",
        "unit": "",
        "better": "lower",
    }
    return {"group": group, "name": name, "value": value, "low": 0.1, "high": 0.2, **sizes}


FOUND = {
    **{
        part: {"n": 100, "loss": 139.1, "nll": 94.8, "kl": 11.1}
        for part in ("train", "validation", "test")
    },
    "cost": {"epochs": 200, "criterion": "loss"},
    "time": {"seconds": 21.0},
    "card": [
        entry(m.name, group=m.group)
        for m in measures().values()
        if m.headline or m.name in ("mmd", "parameters")
    ],
    "diagnosis": [
        "a long remark about what seems to be wrong " * 20,
        {"kind": "note", "text": "no fault", "setting": ""},
    ],
}


def rows(text: str, width: int = 80) -> int:
    """How many rows of a terminal a text takes."""
    return sum(max(1, -(-len(line) // width)) for line in text.splitlines())


@pytest.mark.parametrize("real", [False, True])
def test_the_end_of_a_run_is_a_screen_at_most_whatever_was_measured(real, tmp_path):
    folder = (
        tmp_path / "outputs" / "2026-01-01_00-00-00.000000_vae_beta-4_latent_dim-16_hidden-400-400"
    )
    yardstick = {"real_data": [entry("fid", 2.75)]} if real else {}
    on = printed()
    pictures = ["samples.png", "codes.png", "traversal.png"]
    Display("vae on digits, beta=4", on).result(
        folder,
        FOUND | yardstick | {"seed": 7},
        headlines(),
        pictures,
        "tensorboard --logdir outputs",
    )
    told = on.file.getvalue()
    assert rows(told) <= SCREEN
    assert (
        "objective: loss 139.1 train, 139.1 validation, 139.1 test" in told
        and "200 epochs, 21 s" in told
    )
    assert (
        headline("vae on moons, dataset.seed=3", {"seed": 7})
        == "vae on moons, dataset.seed=3, seed 7: done"
    )
    assert headline("vae on digits, seed=3", {"seed": 3}) == "vae on digits, seed=3: done"
    assert (
        "vae on digits, beta=4, seed 7: done (200 epochs, 21 s); 100 test points, 360 samples"
        in " ".join(told.split())
    )
    shown = [name for name in headlines() if re.search(rf"^{name}\b.* 0\.1 to 0\.2", told, re.M)]
    assert (
        6 <= len(shown) <= 8
        and "mmd" not in told
        and ("real data" in told and "2.75" in told) == real
    )
    assert f"all {len(FOUND['card'])} measures and 1 more remark: genbench show " in told
    *_, pictures, last = told.splitlines()
    assert pictures == f"pictures: {folder}/samples.png and 2 more"
    assert last == "look: tensorboard --logdir outputs"


def test_a_share_of_which_nothing_is_known_is_no_headline():
    """As with few samples, where the interval holds all that a share can be."""
    for low, high, is_shown in ((0.1, 1.0, True), (-0.2, 0.9, True), (-0.2, 1.0, False)):
        share = {"unit": "share of samples", "low": low, "high": high}
        found = {"card": [entry("copied", 0.6) | share, entry("fid", 2.0)]}
        names = [one["name"] for one in summary.headline_entries(found, ["copied", "fid"])]
        assert names == ["copied"] * is_shown + ["fid"]


@pytest.mark.parametrize("standardized", [False, True])
def test_terms_of_standardized_values_are_said_to_be_that(standardized):
    found = FOUND | {"model": {"standardized": standardized}}
    words = " on standardized values" * standardized
    assert summary.objective(found)[0].startswith(f"objective{words}: loss ")
    on = printed()
    show_run(on, "vae on table", found)
    assert (f"terms of the objective{words}:" in on.file.getvalue()) == standardized


def test_a_share_that_is_estimated_below_0_is_shown_as_0(tmp_path):
    """Only where lower is better; the file keeps the number as it was measured."""
    share = {"unit": "share of samples", "low": -6.8, "high": 0.96}
    found = FOUND | {
        "card": [
            entry("copied", -2.94) | share,
            entry("kid", -0.01) | {"unit": "squared MMD", "low": -0.02, "high": 0.01},
        ]
    }
    on = printed()
    show_run(on, "vae on digits", found)
    shown = " ".join(on.file.getvalue().split())
    assert "copied ↓ 0 0 to 0.96" in shown and "kid ↓ -0.01 -0.02 to 0.01" in shown
    assert brief_run(found, ["copied"])[1:] == ["copied 0"]


@pytest.mark.parametrize("epochs", [1, 19, 39, 400])
def test_a_run_prints_about_twenty_lines_however_many_epochs_it_has(epochs):
    on = printed()
    display = Display("vae", on)
    display.start(epochs, "loss")
    for epoch in range(1, epochs + 1):
        display.epoch(epoch, POINT, "1/s")
    display.close()
    assert min(epochs, 19) <= len(on.file.getvalue().splitlines()) <= 21


def test_commands_at_the_end_of_a_run_name_the_configs_that_they_need(tmp_path):
    for card, command in ((FOUND["card"], "show"), ([], "evaluate")):
        on = printed()
        Display("rae on digits", on, ["--config-dir", "mine"]).result(
            tmp_path, FOUND | {"card": card}, headlines(), [], "tensorboard"
        )
        assert f"genbench {command} {quoted(tmp_path)} --config-dir mine\n" in on.file.getvalue()


def test_the_end_of_a_game_and_of_a_run_without_a_card_say_what_there_is(tmp_path):
    on = printed()
    found = {
        "test": {"n": 10, "d_real": 0.7, "d_fake": 0.3},
        "cost": {"epochs": 1, "criterion": None},
    }
    Display("gan on ring", on).result(tmp_path, found, headlines(), [], "tensorboard --logdir .")
    told = on.file.getvalue().splitlines()
    assert told[:2] == [
        "gan on ring: done (1 epoch); 10 test points",
        "terms on test data: d_real 0.7, d_fake 0.3",
    ]
    assert (
        told[-2].startswith("to measure more: genbench evaluate ")
        and told[-1] == "look: tensorboard --logdir ."
    )


@pytest.mark.parametrize("width", [10, 40, 60, 80, 200])
def test_training_and_validation_are_shown_side_by_side_as_far_as_there_is_room(width):
    text = terms(POINT, "loss", width)
    assert (
        text.startswith("train loss 133.17")
        and "validation loss 138.58" in text
        and "lr" not in text
    )
    assert len(text) <= max(width, 41) and ("kl 10.9" in text) == (width >= 80)
    game = {"train": {"d_real": 0.7, "d_fake": 0.2}, "validation": {"d_real": 0.6}}
    assert terms(game, None, 80) == "train d_real 0.7 d_fake 0.2  validation d_real 0.6"
    assert (
        terms({"train": {}}, "loss", 80) == ""
        and terms({"train": {"a": 1.0}}, "loss", 1) == "train a 1"
    )


def test_the_live_line_of_80_columns_has_both_parts_and_what_is_being_measured():
    on = printed(is_terminal=True)
    display = Display("vae on mnist, " + "a_long_setting=12345, " * 9, on)
    display.start(200, "loss")
    display.epoch(35, POINT, "37,807/s")
    display.live.refresh()
    display.drawing()
    display.live.refresh()
    display.measuring(9, 27, "mmd")
    display.live.refresh()
    display.close()
    told = on.file.getvalue()
    assert (
        "35/200" in told
        and "train loss 133.17" in told
        and "validation loss 138.58" in told
        and "measuring, 29 % done: mmd" in told
    )
    assert (
        told.index("drawing pictures") < told.index("measuring") < told.rindex("validation loss")
    ), "the last epoch's terms stay"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told)
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]", plain))


def test_without_a_terminal_measuring_is_announced_once_and_then_only_where_it_takes_long(
    monkeypatch,
):
    on, now = printed(), [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    display = Display("vae", on)
    for i, name in enumerate(("mse", "fid", "kid", "mmd"), 1):
        display.measuring(i, 4, name)
        now[0] += 6
    assert on.file.getvalue().splitlines() == [
        "measuring the report card",
        "measuring, 50 % done: kid",
    ]


def test_a_job_has_a_line_at_its_start_and_one_at_its_end_within_the_width():
    on = printed()
    display = JobDisplay("beta=4 latent_dim=2", 3, 12, 20, on)
    display.begin()
    display.echo("stop with Ctrl-C")
    display.echo("warning: something")
    display.start(200, "loss")
    display.epoch(1, POINT, "1/s")
    display.measuring(1, 2, "mse")
    display.close()
    display.result()
    display.ended("done", ["loss 139.1", "fid 5.716", "an_uncommonly_long_name 1234567"])
    started, done = on.file.getvalue().splitlines()
    assert started.split() == ["3/12", "started", "beta=4", "latent_dim=2"]
    assert (
        re.fullmatch(
            r" 3/12 done +beta=4 latent_dim=2 +loss 139.1, fid 5.716, 0.0 s, 1 warning", done
        )
        and len(done) <= 80
    )


def test_on_a_terminal_a_job_leaves_its_last_line_only():
    on = printed(is_terminal=True)
    display = JobDisplay("beta=4", 1, 2, 6, on)
    display.begin()
    display.start(200, "loss")
    display.epoch(1, POINT, "1/s")
    display.live.refresh()
    display.ended("failed")
    told = on.file.getvalue()
    assert (
        "1/2 beta=4: starting" in told
        and "started" not in told
        and "\x1b[2K" in told
        and display.live is None
    )
    assert re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told).splitlines()[-1].split()[:3] == [
        "1/2",
        "failed",
        "beta=4",
    ]


def test_all_numbers_are_shown_in_full_on_80_columns_with_a_line_for_each():
    card = [
        entry(m.name, -1.23456e-05, m.group) | {"low": -1.23456e-05, "high": 1.23457e-05}
        for m in measures().values()
    ]
    card[0] |= {"total": 10, "value": 7}
    card[1] |= {"of": "of 10", "value": 7}  # as files of earlier versions have it
    different = {
        "on": "train",
        "n": {"samples": 10_000, "train": 55_000, "bins": 100},
        "features": "features of classifier 0123456789ab",
    }
    card[-1] |= different
    on = printed()
    summary.show_run(
        on, "vae on digits", FOUND | {"card": card, "real_data": card, "diagnosis": []}
    )
    lines = on.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)
    for one in card:
        (line,) = [line for line in lines if line.strip().startswith(f"{one['name']} ")]
        counts = one["value"] == 7
        assert line.count("7 of 10" if counts else "-1.2346e-05") == 3 - counts, line
        assert (
            line.rstrip().endswith("7 of 10" if counts else "-1.2346e-05")
            and "-1.2346e-05 to 1.2346e-05" in line
        )
    assert sum("360 samples, 360 test points, by their values" in line for line in lines) == len(
        {one["group"] for one in card}
    )
    assert (
        "10,000 samples, 55,000 training points, 100 bins, features of classifier 0123456789ab"
        in " ".join(" ".join(lines).split())
    )
    assert len(lines) <= len(card) + 25


@pytest.mark.parametrize("is_terminal", [False, True])
def test_the_time_left_of_a_run_that_may_end_early_is_the_most_it_may_take(is_terminal):
    for may_end_early in (False, True):
        on = printed(is_terminal)
        display = Display("kmeans on digits", on)
        display.start(300, "inertia", may_end_early)
        display.epoch(1, POINT, "1/s")
        display.close()
        told = on.file.getvalue()
        assert " left" in told and ("at most" in told) == may_end_early


def test_a_job_without_a_live_line_says_once_how_long_it_still_takes(monkeypatch):
    on, now = printed(), [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    display = JobDisplay("beta=4", 1, 2, 6, on)
    display.begin()
    display.start(100, "loss")
    for epoch in range(1, 6):
        now[0] += 6.0
        display.epoch(epoch, POINT, "1/s")
    lines = on.file.getvalue().splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["1/2", "training", "beta=4", "9.8", "min", "left"]
    ]


def test_of_a_job_the_objective_and_a_number_of_two_groups_are_told():
    objective, of_samples, other = summary.brief_run(FOUND, headlines())
    groups = {m.name: m.group for m in measures().values()}
    assert (
        objective == "loss 139.1"
        and groups[of_samples.split()[0]] == "samples" != groups[other.split()[0]]
    )
    assert (
        summary.brief_run(
            {"test": {"n": 1, "d_real": 0.5}, "cost": {"criterion": None}}, headlines()
        )
        == []
    )


def test_counts_and_times_read_as_english():
    assert [counted(n, "point") for n in (0, 1, 2, 1234)] == [
        "0 points",
        "1 point",
        "2 points",
        "1,234 points",
    ]
    assert [duration(s) for s in (0.44, 19.2, 192, 5400, 7200)] == [
        "0.4 s",
        "19 s",
        "3.2 min",
        "90 min",
        "2 h",
    ]


def test_all_numbers_of_a_finished_run_are_shown_without_measuring(genbench, tmp_path):
    assert genbench("model=pca", *TINY, "hydra.run.dir=outputs/run").returncode == 0
    file = tmp_path / "outputs" / "run" / "metrics.json"
    file.write_text(
        json.dumps(
            json.loads(file.read_text()) | {key: FOUND[key] for key in ("card", "diagnosis")}
        )
    )
    before = file.read_bytes()
    done = genbench("show", "outputs/run")
    assert done.returncode == 0 and all(
        name in done.stdout
        for name in ("mmd", "parameters", "squared_error", "validation", "no fault")
    )
    assert file.read_bytes() == before
    assert "outputs/run \n" in genbench("completion", "--", "show", "").stdout
    for content in ('{"card": [3]}', '{"test": {"n": 1}, "card": 3}'):
        file.write_text(content)
        assert "metrics.json: is damaged: " in genbench("show", "outputs/run").stderr
    for command in ("show", "sample", "resume", "report", "verify", "models", "help", "completion"):
        own = genbench(command, "--help").stdout
        assert (
            own == genbench("help", command).stdout
            and own.startswith(f"genbench {command}")
            and "latent_dim" not in own
        )
    file.write_bytes(before)
    config = tmp_path / "outputs" / "run" / "config.yaml"
    kept = config.read_text()
    config.write_text(kept.replace("name: pca", "name: mine"))
    assert (
        genbench("show", "outputs/run").stdout.splitlines()[1:] == done.stdout.splitlines()[1:]
    ), "no configs needed"
    config.write_text(kept)
    file.unlink()
    for words, says in (
        (["show", "outputs/run"], "metrics.json: is not there; fix: genbench resume outputs/run"),
        (["show"], "needs the directory of one finished run; fix: genbench show outputs/RUN"),
        (["show", "outputs"], "is not a run directory"),
    ):
        refused = genbench(*words)
        assert refused.returncode == 2 and says in refused.stderr, refused.stderr


def test_a_sweep_prints_a_line_for_a_job_as_it_starts_and_ends_and_one_table(genbench, tmp_path):
    done = genbench("-m", "model=pca", "latent_dim=2,100,3", *TINY, "hydra.sweep.dir=sweep")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert [line.split()[:3] for line in lines[1:7]] == [
        [f"{i}/3", state, f"latent_dim={k}"]
        for i, (k, end) in enumerate(((2, "done"), (100, "failed"), (3, "done")), 1)
        for state in ("started", end)
    ]
    assert all(
        re.search(r"squared_error [\d.]+, .* s$", line) for line in lines[1:7] if " done " in line
    )
    assert lines[7].startswith("2 of 3 jobs done: ") and not re.search(
        r"epoch \d|resume(?! sweep)", done.stdout
    )
    assert sum(line.startswith("model ") for line in lines) == 1
    assert "2 runs in 2 settings; 1 without results." in lines
    assert "epoch 1" in next(Path("sweep").glob("*dim-3*")).joinpath("run.log").read_text()
    show = genbench("show", "sweep")
    assert (
        show.returncode == 2
        and "this is a sweep" not in show.stdout
        and "fix: genbench report sweep" in show.stderr
    )


def test_jobs_that_fail_for_one_reason_are_told_of_once(genbench):
    failing = ["model=kmeans", "n_components=99", "n_init=1,2,3", *TINY]
    done = genbench("-m", *failing, "hydra.sweep.dir=sweep")
    reason = "n_components: must be at most 60 with 60 training points of 64 values (got 99); fix: n_components=60"
    assert done.returncode == 1 and done.stderr.splitlines() == [f"genbench: error: {reason}"]
    assert f"3 jobs failed: {reason}" in done.stdout.splitlines()


def test_a_swept_value_is_in_the_title_of_each_run_also_where_it_is_the_default(
    genbench, monkeypatch
):
    titles = []
    monkeypatch.setattr(
        "genbench.experiment.Run",
        lambda folder, config, resume, title, *more: titles.append(title) or 1 / 0,
    )
    monkeypatch.setattr(Sweep, "draw", lambda sweep: None)
    for words, named in (
        (
            ["-m", "beta=1,4", "evaluation=full,quick"],
            [f"evaluation={e}, beta={b}" for b in (1, 4) for e in ("full", "quick")],
        ),
        (["-m", "beta=1,4", "hydra/launcher=basic"], ["beta=1", "beta=4"]),
        (["beta=1"], [""]),
    ):
        genbench(
            "model=vae",
            *words,
            *["hydra.sweep.dir=sweep" if "-m" in words else "hydra.run.dir=run"],
        )
        assert titles == [f"vae on digits, {some}".rstrip(", ") for some in named]
        titles.clear()


def test_what_was_swept_is_read_from_a_summary_whatever_is_in_it(tmp_path):
    file = tmp_path / "sweep_summary.json"
    for content, names in (
        ('{"jobs": [{"overrides": ["a=1", "++b.c=2"]}, {"overrides": ["a=1", "b.c=3"]}]}', {"b.c"}),
        ('{"jobs": [{"overrides": [3]}, 4, {"overrides": null}, {}]}', set()),
        ('{"jobs": 3}', set()),
        ("{", set()),
    ):
        file.write_text(content)
        assert swept(tmp_path / "job") == names


def test_folders_of_jobs_carry_a_digest_only_where_two_would_have_one_name(tmp_path):
    registry = builtin_registry()
    for folder in ("x/cats", "x/dogs", "y/cats", f"x/{'a' * 90}", f"x/{'a' * 90}b"):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("L", (1, 1)).save(tmp_path / folder / "picture.png")

    labels = []

    def directories(*words):
        sweep = Sweep(
            list(words), check_request([*words], registry, is_sweep=True), tmp_path, registry
        )
        sweep.find_folders()
        labels[:] = sweep.labels()
        return [job.folder.name for job in sweep.jobs]

    both = directories("model=pca,kmeans", "device=cpu", "dataset=digits,ring")
    assert both == ["pca_digits", "pca_ring", "kmeans_digits", "kmeans_ring"]
    folders = directories(
        "model=pca", "dataset=image-folder", f"dataset.root={tmp_path}/x/cats,{tmp_path}/x/dogs"
    )
    assert folders == ["pca_image-folder_root-cats", "pca_image-folder_root-dogs"]
    assert labels == ["dataset.root=cats", "dataset.root=dogs"]
    first, second = directories(
        "model=pca", "dataset=image-folder", f"dataset.root={tmp_path}/x/cats,{tmp_path}/y/cats"
    )
    assert first == "pca_image-folder_root-cats" and re.fullmatch(first + "-[0-9a-f]{8}", second)
    assert labels == [f"dataset.root={tmp_path}/{above}/cats" for above in "xy"]
    long = directories(
        "model=pca",
        "dataset=image-folder",
        f"dataset.root={tmp_path}/x/{'a' * 90},{tmp_path}/x/{'a' * 90}b",
    )
    assert len({*long}) == 2 and all(len(name) <= 80 for name in long)


def test_a_note_is_no_diagnosis(tmp_path):
    note = {"kind": "note", "text": "beta=4 is 0.6 in other units", "setting": ""}
    on = printed()
    Display("vae", on).result(
        tmp_path, FOUND | {"diagnosis": [note]}, headlines(), ["samples.png"], "tensorboard"
    )
    shown = on.file.getvalue()
    assert (
        "diagnosis: nothing seems wrong" in shown
        and note["text"] not in shown
        and "and 1 remark: genbench show" in shown
    )
