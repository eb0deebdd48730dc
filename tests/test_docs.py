"""The worked example of docs/extending.md, word for word."""

import json
import re
import sys
from pathlib import Path

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "extending.md").read_text()


def test_the_example_of_an_own_model_and_dataset_works(genbench, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, content in re.findall(r"^`(mine/\S+)`.*?^```(?:python|yaml)\n(.*?)^```", TEXT, re.M | re.S):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    listed = re.search(r"^```\nmine/\n(.*?)^```", TEXT, re.M | re.S)[1]
    assert {f"mine/{line.split()[0]}" for line in listed.splitlines()} == {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")}
    commands = [line.split()[1:] for line in TEXT.splitlines() if line.startswith("genbench ")]
    assert len(commands) == 3
    for command in commands:
        done = genbench(*command)
        assert done.returncode == 0, done.stderr
    runs = {p.parent.name: json.loads(p.read_text()) for p in tmp_path.glob("outputs/**/metrics.json")}
    assert len(runs) == 4
    own = next(found for name, found in runs.items() if "lambda-5" in name)
    assert own["test"]["n"] == 1600 and own["test"]["mse"] < 0.05 and own["test"]["kernel_distance"] < 0.02
    refused = genbench("--config-dir", "mine", "model=wae", "lambda=-1")
    assert refused.returncode == 2 and "lambda: must be float >= 0" in refused.stderr
