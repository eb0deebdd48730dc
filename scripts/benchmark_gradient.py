"""Rows of the benchmark: models that descend a gradient, against other loops on their networks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import benchmark_peers as peers
import torch
from benchmark_rows import CPU, Bench, Round, Row, Skipped, in_turn

from genbench.config.compose import resolved
from genbench.data.loading import load_data
from genbench.experiment import build
from genbench.training.calls import Calls, alone
from genbench.training.loop import Fitted, NullRecorder, fit_work
from genbench.training.together import together

CONSTANT = ["schedule=constant", "lr=1e-3"]
MLP = ["model=vae", "latent_dim=20", "network=mlp", "hidden=[400]", "activation=relu"]
MLP += ["batch_size=128", *CONSTANT]


def in_memory(bench: Bench) -> Round:
    """An epoch of all images, and one of a loop written by hand over images in memory."""
    config, x = bench.config(*MLP, "epochs=1"), bench.x

    def by_hand() -> None:
        vae: Any = build(config, bench.data)
        peers.train_vae(vae, peers.in_memory(x, 128))

    return in_turn(bench.training(*MLP, "epochs=1"), by_hand)


def from_loader(bench: Bench) -> Round:
    """An epoch of all images, and one of the same loop over a DataLoader, as in tutorials."""
    config, images = bench.config(*MLP, "epochs=1"), len(bench.x)

    def by_hand() -> None:
        vae: Any = build(config, bench.data)
        peers.train_vae(vae, peers.from_loader(bench.root, images, 128))

    return in_turn(bench.training(*MLP, "epochs=1"), by_hand)


def pythaes(bench: Bench) -> Round:
    """An epoch of all images, and one of pythae's `BaseTrainer`.

    Both train the same network (784-400-20, ReLU, Bernoulli pixels) with Adam, a rate of 1e-3 and
    batches of 128, over images in memory, with the same threads. Of pythae, all other options are
    its defaults, and no images are given to validate on: it logs the loss of each step, shows a
    progress bar, copies the best model after the epoch, and saves it at the end.
    """
    try:
        import benchmark_pythae
    except ImportError as error:
        raise Skipped(f"pip install pythae ({error})") from error
    ours = bench.training(*MLP, "epochs=1")
    return in_turn(ours, lambda: benchmark_pythae.train(bench.x, hidden=400, latent_dim=20))


def convolutions(name: str, train: Callable, bench: Bench) -> Round:
    """A hundred steps of 64 images, and as many of a loop written by hand."""
    words = [f"model={name}", "network=conv", "batch_size=64", *CONSTANT]
    words += ["epochs=1"] if name == "vae" else ["steps=100"]
    data = bench.few(6400)
    config, x = bench.config(*words), data.train.values()
    return in_turn(
        bench.training(*words, data=data),
        lambda: train(build(config, data), peers.in_memory(x, 64)),
    )


def importance_weighted(bench: Bench) -> Round:
    """The bound on log p(x), and the same by a loop over images."""
    config = bench.config(*MLP, "dataset.binarize=static")  # of which the likelihood is defined
    data = load_data(config["dataset"], CPU)
    vae: Any = build(config, data)
    x = data.train.first(1000).values()

    @torch.no_grad()
    def ours() -> None:
        vae.log_prob(x, 1000)

    return in_turn(ours, lambda: peers.importance_weighted(vae, x, 1000))


def joined(bench: Bench) -> Round:
    """Sixteen small VAEs on the plane that train together, and one after the other; no more."""
    words = ["model=vae", "hidden=[32]", "dataset=moons", "epochs=2", "device=cpu"]
    configs = [
        resolved([*words, f"seed={seed}", f"beta={beta}"], bench.registry)
        for seed in (0, 1)
        for beta in (0.1, 0.2, 0.5, 1, 2, 4, 8, 16)
    ]
    data = load_data(configs[0]["dataset"], CPU)
    data = data._replace(splits={"train": data.train})

    def works() -> list[Calls[Fitted]]:
        models = [build(config, data) for config in configs]
        return [fit_work(model, data, NullRecorder(), model.settings) for model in models]

    return in_turn(lambda: together(works()), lambda: [alone(work) for work in works()])


def vae_epochs(bench: Bench) -> Round:
    """Four epochs, and four times one."""
    one = bench.training(*MLP, "epochs=1")
    return in_turn(bench.training(*MLP, "epochs=4"), lambda: [one() for _ in range(4)])


def vae_points(bench: Bench) -> Round:
    """An epoch of all images, and two of half of them."""
    half = bench.training(*MLP, "epochs=1", data=bench.few(len(bench.x) // 2))
    return in_turn(bench.training(*MLP, "epochs=1"), lambda: [half(), half()])


EPOCH, LOOP = "vae, 784-400-20, an epoch", "a loop in memory"
STEPS = "convolutions, 100 steps of 64 images"
ROWS = [
    Row(EPOCH, LOOP, 1.05, in_memory),
    Row(EPOCH, "a DataLoader loop", 0.35, from_loader),
    Row(EPOCH, "pythae's trainer", 0.6, pythaes),
    Row(f"vae, {STEPS}", LOOP, 1.05, partial(convolutions, "vae", peers.train_vae)),
    Row(f"gan, {STEPS}", LOOP, 1.05, partial(convolutions, "gan", peers.train_gan)),
    Row(f"wgan, {STEPS}", LOOP, 1.05, partial(convolutions, "wgan", peers.train_wgan)),
    Row(
        "vae, bound of 1,000 images by 1,000 draws each",
        "a loop over images",
        0.5,
        importance_weighted,
    ),
    Row("training of 16 small VAEs on the plane, together", "one by one", 0.5, joined),
    Row("vae, four epochs", "four times one", 1.1, vae_epochs),
    Row("vae, all images", "twice half of them", 1.1, vae_points),
]
