"""Time an epoch of genbench's VAE against the plain PyTorch loop, side by side.

    python scripts/benchmark_loop.py --root FOLDER_ABOVE_MNIST [--rounds 3] [--workers 0]

The plain loop is what tutorials show: torchvision's MNIST with ToTensor in a DataLoader, the same network, batch size,
optimiser and number of images. genbench's epoch is the first of a run: training, validation on 5,000 more images,
samples and reconstructions, TensorBoard, checkpoint. What a run does once, at its end (all other pictures, the codes for
the projector), is timed apart. Rounds alternate between the two, so that both see the same machine.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from genbench.cli import builtin_catalogue
from genbench.config import check
from genbench.data import load
from genbench.experiment import build
from genbench.request import composed
from genbench.run import Run
from genbench.train import fit

OVERRIDES = [
    *("model=vae", "dataset=mnist", "latent_dim=20", "network=mlp", "hidden=[400]", "activation=relu"),
    *("batch_size=128", "lr=1e-3", "schedule=constant", "epochs=1", "device=cpu"),
]


def plain_epoch(root: str, images: int, workers: int) -> float:
    """Seconds that the tutorial's loop takes for one epoch."""
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 400), torch.nn.ReLU(), torch.nn.Linear(400, 40))
    decoder = torch.nn.Sequential(torch.nn.Linear(20, 400), torch.nn.ReLU(), torch.nn.Linear(400, 784))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    dataset = Subset(MNIST(root, train=True, transform=ToTensor()), range(images))
    loader = DataLoader(dataset, batch_size=128, shuffle=True, num_workers=workers)
    started, total = time.perf_counter(), 0.0
    for x, _ in loader:
        mu, logvar = encoder(x).chunk(2, 1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        nll = binary_cross_entropy_with_logits(decoder(z), x.flatten(1), reduction="sum")
        kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
        loss = nll + kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return time.perf_counter() - started


def our_epoch(config: dict, data) -> tuple[float, float, float]:
    """Seconds of the training pass alone, of the epoch with all that belongs to it, and of what a run does at its end."""
    with tempfile.TemporaryDirectory() as folder, Run(Path(folder), config) as run:
        run.display.console.quiet = True
        run.start()
        run.loaded(data)
        passes = []
        log = run.log

        def timed(epoch, point, images_per_second):
            passes.append(len(data.train) / images_per_second)
            log(epoch, point, images_per_second)

        run.log = timed
        started, model = time.perf_counter(), build(config, data)
        fit(model, data, run, model.s)
        trained = time.perf_counter()
        run.show(1, model, data, drawn=True)
        return passes[0], trained - started, time.perf_counter() - trained


def main() -> None:
    """Print seconds and ratios of every round, then the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="worker processes of the plain loop's DataLoader")
    args = parser.parse_args()
    catalogue = builtin_catalogue()
    config = check(composed([*OVERRIDES, f"dataset.root={args.root}"], catalogue), catalogue)
    data = load(config["dataset"], torch.device("cpu"))
    n = len(data.train)
    print(f"{n:,} images per epoch, {torch.get_num_threads()} threads, DataLoader with {args.workers} workers")
    ratios = []
    for r in range(args.rounds):
        plain = plain_epoch(args.root, n, args.workers)
        bare, whole, end = our_epoch(config, data)
        ratios.append(whole / plain)
        print(
            f"round {r + 1}: plain {plain:.2f} s, genbench {whole:.2f} s ({bare:.2f} s without logging): ratio {ratios[-1]:.3f}; "
            f"{end:.2f} s once at the end"
        )
    print(f"median ratio {median(ratios):.3f}, worst {max(ratios):.3f}")


if __name__ == "__main__":
    main()
