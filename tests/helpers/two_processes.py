"""What each of two processes does in tests of runs over several: fits, stops, failures.

torchrun starts it with a folder; the first process leaves the runs there.
"""

import os
import signal
import sys
from pathlib import Path

import torch

import genbench
from genbench.evaluation import by_shares
from genbench.models.kmeans import KMeans
from genbench.models.vae import VAE
from genbench.training.processes import process_rank
from genbench.utils import signals
from genbench.utils.errors import UserError

COMMON = {"dataset": "digits", "evaluation": "none", "device": "cpu", "draw_every": 1000}
# The name of a run, its model and its settings. Batches of 100 leave one of 57 points, an odd number.
FITS = {
    "pca": ("pca", {"epochs": 1}),
    "pca of few": ("pca", {"epochs": 1, "dataset__limit": 50, "latent_dim": 2}),
    "kmeans": ("kmeans", {"epochs": 4, "batch_size": 100}),
    "gmm": ("gmm", {"epochs": 3, "batch_size": 100, "covariance": "diag"}),
    "kde": ("kde", {"bandwidth": "loo"}),
    "vae": ("vae", {"epochs": 1, "batch_size": 100, "grad_clip": 1.0}),
    "swae": ("swae", {"epochs": 1, "batch_size": 100}),
    "wae": ("wae", {"epochs": 1, "batch_size": 100}),
    "sparse-ae": ("sparse-ae", {"epochs": 1, "batch_size": 100}),
    "supervised-ae": ("supervised-ae", {"epochs": 1, "batch_size": 100, "dataset__labelled": 99}),
    "wgan": ("wgan", {"epochs": 1, "steps": None, "batch_size": 100}),
    "two points left": ("ae", {"epochs": 1, "batch_size": 2, "dataset__limit": 25}),
}
# Whose report cards are compared, too: a bound with draws of its own, and numbers of clusters.
MEASURED = {
    "measured vae": ("vae", {"epochs": 1, "evaluation": "quick", "latent_dim": 3}),
    "measured kmeans": ("kmeans", {"epochs": 2, "evaluation": "quick"}),
}
STOPPED = {
    "vae": (VAE, {"epochs": 3, "batch_size": 100}),
    "kmeans": (KMeans, {"epochs": 3, "batch_size": 100}),
}


def fit(name, folder, settings):
    """Train a model as all tests here do."""
    return genbench.fit(name, folder=folder, **(COMMON | settings))


def during_step(model_class, at, action):
    """Do something in the second process when a model begins this step; returns the undoing."""
    step, made = model_class.step, []

    def counted(self, batch):
        made.append(1)
        if len(made) == at and process_rank() == 1:
            action()
        return step(self, batch)

    model_class.step = counted
    return lambda: setattr(model_class, "step", step)


def fail():
    raise RuntimeError("no more paper")


def unsolvable(model, x, **more):
    raise torch.linalg.LinAlgError("no more pivots")


def main(out):
    """Everything, as starting two processes takes seconds."""
    torch.set_num_threads(1)
    for name, (model, settings) in (FITS | MEASURED).items():
        fit(model, out / name, settings)
    for name, (model_class, settings) in STOPPED.items():
        fit(name, out / f"whole {name}", settings)
        for end in ("same", "other"):
            # A signal to one of them, within the second epoch, stops both.
            undo = during_step(model_class, 20, lambda: signals.ask(signal.SIGTERM))
            try:
                fit(name, out / f"{end} {name}", settings)
                raise AssertionError("it went on")
            except signals.Interrupted as stopped:
                assert stopped.signum == signal.SIGTERM
            finally:
                undo()
                signals.forget()
        fit(name, out / f"same {name}", settings)
    if os.environ["RANK"] == "1":
        by_shares.FUNCTIONS["reconstruct"] = unsolvable
    fit("pca", out / "a measure less", {"epochs": 1, "evaluation": "quick", "latent_dim": 3})
    undo = during_step(VAE, 3, fail)
    try:
        fit("vae", out / "failed", {"epochs": 1, "batch_size": 100})
        raise AssertionError("it went on")
    except UserError as error:
        assert "no more paper" in str(error), error
    finally:
        undo()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
