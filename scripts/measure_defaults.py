"""Measure what default settings achieve: for each goal, the worst of three seeds counts.

    python scripts/measure_defaults.py --root FOLDER              all goals: an hour on 2 cores
    python scripts/measure_defaults.py --root FOLDER gan wgan     some of them

MNIST lies in FOLDER/MNIST/raw. Each goal is a sweep over seeds in --folder, so the same command
goes on where it was stopped and trains nothing twice. The exit status is 1 if a goal was missed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Goal(NamedTuple):
    """A measure of the report card in a sweep over seeds, and the bound of its worst value."""

    sweep: str
    measure: str
    at_least: bool
    bound: float


SWEEPS = {
    "gan": ["model=gan", "dataset=mnist"],
    "wgan": ["model=wgan", "dataset=mnist"],
    "vae": ["model=vae", "dataset=mnist"],
    "vae-gmm": ["model=vae", "dataset=mnist", "sampler=gmm"],
    "gan-ring": ["model=gan", "dataset=ring"],
    "gan-grid": ["model=gan", "dataset=grid"],
    "wgan-ring": ["model=wgan", "dataset=ring"],
    "wgan-grid": ["model=wgan", "dataset=grid"],
}
GOALS = [
    Goal("gan", "fid", False, 30),
    Goal("gan", "classes_covered", True, 10),
    Goal("wgan", "fid", False, 8),
    Goal("vae", "fid", False, 25),
    Goal("vae-gmm", "fid", False, 8),
    Goal("gan-ring", "modes", True, 8),
    Goal("gan-grid", "modes", True, 25),
    Goal("wgan-ring", "modes", True, 8),
    Goal("wgan-grid", "modes", True, 25),
]


def main() -> int:
    """Run the sweeps that are asked for, and print each goal with the value of every seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sweeps", nargs="*", metavar="SWEEP", help=f"of {', '.join(SWEEPS)}; all without it"
    )
    parser.add_argument(
        "--root", type=Path, help="folder above MNIST/raw; without it MNIST is downloaded"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("outputs/defaults"), help="where the runs are kept"
    )
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    unknown = set(given.sweeps) - set(SWEEPS)
    if unknown:
        parser.error(
            f"no such sweep: {', '.join(sorted(unknown))} (choose from {', '.join(SWEEPS)})"
        )
    missed = 0
    for name in given.sweeps or SWEEPS:
        cards, seconds = train(name, given)
        for goal in GOALS:
            if goal.sweep == name:
                values = [card[goal.measure] for card in cards]
                worst = min(values) if goal.at_least else max(values)
                met = worst >= goal.bound if goal.at_least else worst < goal.bound
                missed += not met
                wanted = f"{'at least' if goal.at_least else 'below'} {goal.bound:g}"
                shown = ", ".join(f"{value:.4g}" for value in values)
                print(
                    f"{name}: {goal.measure} {worst:.4g} ({shown}), goal {wanted}: "
                    f"{'met' if met else 'MISSED'}; fit {max(seconds):.0f} s of CPU",
                    flush=True,
                )
    return 1 if missed else 0


def train(name: str, given: argparse.Namespace) -> tuple[list[dict[str, float]], list[float]]:
    """The cards of a sweep's runs, one for each seed, and the CPU seconds of their fits."""
    folder = given.folder.resolve() / name
    root = (
        [f"dataset.root={given.root.resolve()}"]
        if given.root and "dataset=mnist" in SWEEPS[name]
        else []
    )
    command = [sys.executable, "-m", "genbench", "-m", *SWEEPS[name], *root, "seed=0,1,2"]
    command += [f"device={given.device}", f"hydra.sweep.dir={folder}"]
    print("genbench", *command[3:], flush=True)
    subprocess.run(command, check=True)
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*/metrics.json"))]
    cards = [{entry["name"]: entry["value"] for entry in metrics["card"]} for metrics in found]
    return cards, [metrics["time"]["fit_cpu_seconds"] for metrics in found]


if __name__ == "__main__":
    sys.exit(main())
