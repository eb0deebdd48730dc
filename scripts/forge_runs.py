"""Make a folder of many finished runs within seconds, to try reports and listings on.

    python scripts/forge_runs.py FOLDER [--runs 1000]

Three small models are trained on digits. All other runs are copies of these with other settings and
numbers, so what a report says of them is made up. They are the jobs of one sweep.
"""

import argparse
import itertools
import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import genbench
from genbench.runs.directory import digest
from genbench.runs.sweep_summary import write_summary

# How the settings of forged runs differ, apart from their seeds.
VARIED: dict[str, dict[str, list[Any]]] = {
    "vae": {"beta": [0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0], "latent_dim": [2, 4, 8, 16, 32]},
    "pca": {"latent_dim": [1, 2, 4, 8, 16, 32]},
    "kmeans": {"n_components": [2, 5, 10, 20, 50, 100], "tol": [1e-4, 1e-3]},
}
SEEDS = 10
PICTURES = ("samples.png", "reconstructions.png")
COPIED = ("metrics.jsonl", *PICTURES)


def trained(model: str, folder: Path) -> Path:
    """The folder of a small run of this model, which takes some seconds."""
    genbench.fit(model, epochs=2, evaluation="quick", device="cpu", folder=folder)
    return folder


def settings_of_all() -> Iterator[tuple[str, dict[str, Any]]]:
    """The model and the settings of one run after the other, without end."""
    for block in itertools.count():
        for model, varied in VARIED.items():
            for values in map(list, itertools.product(*varied.values())):
                for seed in range(SEEDS):
                    yield model, {**dict(zip(varied, values)), "seed": block * SEEDS + seed}


def forged(source: Path, folder: Path, settings: dict[str, Any], rng: random.Random) -> None:
    """Write the copy of a finished run with other settings, and numbers that differ by chance."""
    folder.mkdir(parents=True)
    config = yaml.safe_load((source / "config.yaml").read_text()) | settings
    status = json.loads((source / "status.json").read_text()) | {"config": digest(config)}
    metrics = json.loads((source / "metrics.json").read_text())
    factor = rng.uniform(0.5, 2)
    for entry in metrics.get("card", []):
        if isinstance(entry.get("value"), float):
            shift = entry["value"] * factor - entry["value"]
            for name in ("value", "low", "high"):
                if isinstance(entry.get(name), float):
                    entry[name] += shift
    for name, content in (("status.json", status), ("metrics.json", metrics)):
        (folder / name).write_text(json.dumps(content, indent=2))
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for name in COPIED:
        if (source / name).exists():
            os.link(source / name, folder / name)


def forge(sources: dict[str, Path], folder: Path, runs: int) -> None:
    """Write so many runs, copies of the `sources` by their models, as the jobs of one sweep."""
    rng, jobs = random.Random(0), []
    for i, (model, settings) in enumerate(itertools.islice(settings_of_all(), runs)):
        words = [f"model={model}", *(f"{name}={value}" for name, value in settings.items())]
        name = f"{i}_{'_'.join([model, *(word.replace('=', '-') for word in words[1:])])}"
        forged(sources[model], folder / name, settings, rng)
        job = {"overrides": words, "state": "done", "reason": "", "directory": name}
        jobs.append(job | {"command": f"genbench {' '.join(words)}"})
    write_summary(folder, [], {"name": "genbench"}, jobs)


def main() -> None:
    """Forge runs as the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as real:
        sources = {model: trained(model, Path(real) / model) for model in VARIED}
        forge(sources, args.folder, args.runs)


if __name__ == "__main__":
    main()
