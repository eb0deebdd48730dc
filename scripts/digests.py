"""Do a change of the code and the code before it train to the same bits?

    python scripts/digests.py record FILE    before the change
    python scripts/digests.py compare FILE   after it

Every model is trained on digits (and, of those that take vectors, on ring) for two epochs with one
seed and one thread. FILE then holds the SHA-256 of its weights, of 64 samples and of its measured
objective. `compare` trains them again and exits with 1 if any digest differs. Digests hold for one
machine and one version of torch.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

import genbench

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
DATASETS = ("digits", "ring")
RENAMED: dict[
    str, str
] = {}  # a name in the state of a model that has changed: what it is now -> what it was


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of named tensors: their names in alphabetical order, types, shapes and bytes."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def trained(model: str, dataset: str, folder: Path) -> dict[str, str]:
    """The digests of a model after two epochs, or why it cannot be trained on this dataset."""
    settings = {"folder": folder, "epochs": 2, "evaluation": "none", "device": "cpu"}
    try:
        try:
            run = genbench.fit(
                model, dataset, steps=None, **settings
            )  # else a GAN makes its thousands of steps
        except ValueError:
            run = genbench.fit(
                model, dataset, **settings
            )  # a model that counts its training in epochs only
    except ValueError as error:
        return {"refused": str(error).splitlines()[0]}
    state = {RENAMED.get(name, name): tensor for name, tensor in run.model.state_dict().items()}
    objective = {
        part: run.metrics[part] for part in ("train", "validation", "test") if part in run.metrics
    }
    found = {
        "weights": digest(state),
        "objective": hashlib.sha256(json.dumps(objective, sort_keys=True).encode()).hexdigest(),
    }
    if hasattr(run.model, "sample"):
        found["samples"] = digest({"samples": run.sample(64, seed=0)})
    return found


def main() -> int:
    """Record the digests of all models, or compare them with those that were recorded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["record", "compare"])
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml")):
        for dataset in DATASETS:
            with tempfile.TemporaryDirectory() as folder:
                found[f"{name} on {dataset}"] = trained(name, dataset, Path(folder) / "run")
            print(f"{name} on {dataset}: {found[f'{name} on {dataset}']}", file=sys.stderr)
    if args.action == "record":
        args.file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        return 0
    recorded = json.loads(args.file.read_text())
    different = sorted(
        name for name in found.keys() | recorded.keys() if found.get(name) != recorded.get(name)
    )
    print("\n".join(f"{name}: {recorded.get(name)} is now {found.get(name)}" for name in different))
    print(f"{len(found) - len(different)} of {len(found)} are the same")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
