"""A linear Gaussian model, whose likelihood is known exactly."""

import torch
from scipy.stats import multivariate_normal

from genbench.data.types import Data, DataSpec, Split
from genbench.experiment import build
from genbench.utils.rng import generator
from helpers.configs import config_of

CPU = torch.device("cpu")


def vectors(x, test=None, classes=0, y=None):
    """Data of these vectors, which are their own test part unless another is given."""
    parts = {
        "train": Split(torch.as_tensor(x), y),
        "test": Split(torch.as_tensor(x if test is None else test), y),
    }
    return Data("made", parts, DataSpec(tuple(x.shape[1:]), unit=False, classes=classes))


def linear_gaussian(d=2, size=4, n=200):
    """A VAE whose decoder is Wz + b with noise s2, so that x ~ N(b, WW' + s2 I), and data from it."""
    config = config_of(
        "vae",
        "hidden=[]",
        f"latent_dim={d}",
        "likelihood=gaussian",
        "sigma=0.8",
        "device=cpu",
        dataset="moons",
    )
    x = torch.randn(n, size, generator=generator(1))
    model = build(config, vectors(x)).requires_grad_(False)
    w, b = model.decoder[0].weight, model.decoder[0].bias
    covariance = w @ w.T + 0.64 * torch.eye(size)
    x = torch.as_tensor(multivariate_normal(b, covariance, seed=0).rvs(n)).float()
    return model, x, multivariate_normal(b, covariance).logpdf(x)
