"""What a report says of a search: the best trial with its command, importances, charts and a front."""

import json

import pytest

from genbench.report.searches import search_sentences, searches


def trial(number, beta, *values, state="done", is_best=False):
    return {
        "number": number,
        "settings": {"beta": str(beta), "likelihood": "gaussian"},
        "state": state,
        "values": list(values),
        "epochs": 3,
        "directory": f"{number:03d}_run",
        "is_best": is_best,
        "command": f"genbench model=vae beta={beta}",
    }


def search(*trials, goals=(("validation.nll", "minimize"),), importances=()):
    return {
        "goals": [{"name": name, "direction": direction} for name, direction in goals],
        "settings": ["beta", "likelihood"],
        "trials": list(trials),
        "importances": list(importances),
    }


ONE = search(
    trial(1, 1.23456789, 5.0),
    trial(2, 2.0, 3.0, is_best=True),
    trial(3, 8.0, 9.0, state="pruned"),
    trial(4, 9.0, state="failed"),
    trial(5, 3.0, 4.0),
    importances=[{"beta": 0.75, "likelihood": 0.25}],
)
TWO = search(
    trial(1, 1.0, 1.0, 9.0, is_best=True),
    trial(2, 2.0, 5.0, 2.0, is_best=True),
    trial(3, 3.0, 6.0, 6.0),
    goals=(("rate", "minimize"), ("distortion", "minimize")),
    importances=[{"beta": 1.0, "likelihood": 0.0}] * 2,
)


@pytest.mark.parametrize(
    "content, says, charts",
    [
        (
            ONE,
            [
                "Best of 5 trials, 1 pruned, 1 failed: validation.nll 3 at beta=2 likelihood=gaussian (trial 2).",
                "beta 75 % and likelihood 25 %",
                "genbench model=vae beta=2.0",
                "done, best",
                "1.235",
            ],
            ["search_importances", "search_trials"],
        ),
        (
            TWO,
            [
                "The front of 3 trials, where no other trial is better in both rate and distortion, is rate 1, distortion 9",
                "genbench model=vae beta=1.0",
                "genbench model=vae beta=2.0",
                "Those of the front again",
            ],
            ["search_front", "search_importances"],
        ),
        (search(trial(1, 1.0, state="running")), ["has no finished trial yet"], []),
    ],
)
def test_a_report_shows_what_was_tried_and_the_best_command(content, says, charts, left, capsys):
    left("gmm", state="pruned", reason="hopeless after epoch 3 of 9", epoch=3)
    left("pca")
    (left.folder / "search.json").write_text(json.dumps(content))
    report = left.report()
    page = (left.folder / "report.html").read_text()
    assert all(text in page for text in says)
    found = sorted(path.name for path in left.folder.glob("report_search_*.svg"))
    assert found == [f"report_{name}_runs.svg" for name in charts]
    assert report.counts == "1 run in 1 setting; 1 pruned" and not report.failed
    assert " ".join(search_sentences(report.searches[0])[0].split()[:3]) in capsys.readouterr().out
    assert (left.folder / "report.md").read_text().count("    genbench model=vae") == sum(
        one["is_best"] for one in content["trials"]
    )


def test_a_maximum_is_reached_from_below(tmp_path):
    content = search(trial(1, 1.0, 5.0), trial(2, 2.0, 7.0, is_best=True))
    content["goals"][0]["direction"] = "maximize"
    content["trials"][0]["later"] = 1  # of a later version
    (tmp_path / "search.json").write_text(json.dumps(content))
    (found,) = searches([tmp_path])
    assert found.best[0].number == 2 and found.goals[0].sign == -1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content["trials"][0].pop("values"),
        lambda content: content["trials"][0].update(values=[]),
        lambda content: content["trials"][0].update(directory="../x"),
        lambda content: content.update(goals=[]),
    ],
)
def test_a_damaged_search_is_left_out(damage, tmp_path):
    content = json.loads(json.dumps(ONE))
    damage(content)
    (tmp_path / "search.json").write_text(json.dumps(content))
    assert searches([tmp_path]) == []
    (tmp_path / "search.json").write_text("{")
    assert searches([tmp_path]) == []
