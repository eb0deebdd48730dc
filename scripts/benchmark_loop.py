"""Time an epoch of genbench's VAE against two loops written by hand, side by side.

    python scripts/benchmark_loop.py --root FOLDER_ABOVE_MNIST [--rounds 3] [--workers 0]

The plain loop is what tutorials show: torchvision's MNIST with ToTensor in a DataLoader. The bare
loop is the least that the same mathematics takes: the images lie in memory as floats, Adam is
fused, nothing is logged. All three have the same network, batch size, optimiser and number of
images. genbench's epoch is the first of a run: training, validation on 5,000 more images, samples
and reconstructions, TensorBoard, checkpoint. What a run does once, at its end (all other pictures,
the codes for the projector), is timed apart. Rounds alternate, so that all see the same machine.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from genbench.config.compose import composed
from genbench.config.registry import builtin_registry
from genbench.config.validation import check_config
from genbench.data.loading import load_data
from genbench.data.types import Data
from genbench.experiment import build
from genbench.runs.recorder import Run
from genbench.training.loop import fit_model

OVERRIDES = [
    *(
        "model=vae",
        "dataset=mnist",
        "latent_dim=20",
        "network=mlp",
        "hidden=[400]",
        "activation=relu",
    ),
    *("batch_size=128", "lr=1e-3", "schedule=constant", "epochs=1", "device=cpu"),
]


def plain_epoch(root: str, images: int, workers: int) -> float:
    """Seconds that the tutorial's loop takes for one epoch."""
    dataset = Subset(MNIST(root, train=True, transform=ToTensor()), range(images))
    loader = DataLoader(dataset, batch_size=128, shuffle=True, num_workers=workers)
    return epoch_by_hand((x for x, _ in loader), fused=False)


def bare_epoch(x: torch.Tensor) -> float:
    """Seconds that one epoch over images [n, 784] in memory takes."""
    return epoch_by_hand((x[index] for index in torch.randperm(len(x)).split(128)), fused=True)


def epoch_by_hand(batches: Iterable[torch.Tensor], fused: bool) -> float:
    """Seconds that a VAE written without genbench takes to learn from these batches."""
    encoder = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 400), torch.nn.ReLU(), torch.nn.Linear(400, 40)
    )
    decoder = torch.nn.Sequential(
        torch.nn.Linear(20, 400), torch.nn.ReLU(), torch.nn.Linear(400, 784)
    )
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=fused
    )
    started, total = time.perf_counter(), 0.0
    for x in batches:
        mu, logvar = encoder(x).chunk(2, 1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        nll = binary_cross_entropy_with_logits(decoder(z), x.flatten(1), reduction="sum")
        kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
        loss = (nll + kl) / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return time.perf_counter() - started


class TimedRun(Run):
    """A run that remembers how fast each epoch's training was, in images per second."""

    def __init__(self, folder: Path, config: dict) -> None:
        super().__init__(folder, config)
        self.speeds: list[float] = []

    def log(self, epoch: int, point: dict[str, dict[str, float]], images_per_second: float) -> None:
        """Keep the terms of an epoch and its speed."""
        self.speeds.append(images_per_second)
        super().log(epoch, point, images_per_second)


def our_epoch(config: dict, data: Data) -> tuple[float, float, float]:
    """Seconds of an epoch's training alone, of the whole epoch, and of what a run does at its
    end.
    """
    with tempfile.TemporaryDirectory() as folder, (run := TimedRun(Path(folder), config)):
        run.display.console.quiet = True
        run.start()
        run.set_data(data)
        started, model = time.perf_counter(), build(config, data)
        fit_model(model, data, run, model.settings)
        trained = time.perf_counter()
        run.draw_final(1, model, data, drawn=True)
        training = len(data.train) / run.speeds[0]
        return training, trained - started, time.perf_counter() - trained


def main() -> None:
    """Print seconds and ratios of every round, then the median ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--workers", type=int, default=0, help="worker processes of the plain loop's DataLoader"
    )
    args = parser.parse_args()
    registry = builtin_registry()
    config = check_config(composed([*OVERRIDES, f"dataset.root={args.root}"], registry), registry)
    data = load_data(config["dataset"], torch.device("cpu"))
    images = data.train.values().flatten(1)
    n = len(images)
    print(
        f"{n:,} images per epoch, {torch.get_num_threads()} threads, "
        f"DataLoader with {args.workers} workers"
    )
    ratios: dict[str, list[float]] = {
        "epoch to plain loop": [],
        "training to bare loop": [],
        "bare to plain loop": [],
    }
    for r in range(args.rounds):
        plain, bare = plain_epoch(args.root, n, args.workers), bare_epoch(images)
        training, epoch, end = our_epoch(config, data)
        print(
            f"round {r + 1}: plain {plain:.2f} s, bare {bare:.2f} s, genbench {epoch:.2f} s, "
            f"of which training {training:.2f} s; {end:.2f} s once at the end"
        )
        for name, ratio in zip(ratios, [epoch / plain, training / bare, bare / plain], strict=True):
            ratios[name].append(ratio)
    for name, found in ratios.items():
        print(
            f"{name}: median ratio {median(found):.3f}, from {min(found):.3f} to {max(found):.3f}"
        )


if __name__ == "__main__":
    main()
