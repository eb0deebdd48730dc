"""An epoch of a VAE by the trainer of pythae (Chadebec, Vincent & Allassonnière 2022)."""

import logging
import os
import tempfile
from contextlib import redirect_stderr

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn

logging.disable(logging.INFO)  # the process times one row, whose output pythae would fill


class Encoder(BaseEncoder):
    """A hidden layer, then the mean and the log-variance of a code."""

    def __init__(self, values: int, hidden: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(values, hidden), nn.ReLU())
        self.mean, self.log_variance = (nn.Linear(hidden, latent_dim) for _ in range(2))

    def forward(self, x: torch.Tensor) -> ModelOutput:
        """Images [n, 1, 28, 28] to two tensors [n, latent_dim]."""
        h = self.hidden(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    """A hidden layer, then the probability of each pixel."""

    def __init__(self, shape: tuple[int, ...], hidden: int, latent_dim: int) -> None:
        super().__init__()
        values = torch.Size(shape).numel()
        layers = [nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, values)]
        self.layers = nn.Sequential(*layers, nn.Sigmoid(), nn.Unflatten(1, shape))

    def forward(self, z: torch.Tensor) -> ModelOutput:
        """Codes [n, latent_dim] to images."""
        return ModelOutput(reconstruction=self.layers(z))


def train(x: torch.Tensor, hidden: int, latent_dim: int) -> None:
    """Train a new VAE for an epoch on images x [N, *shape] with values in [0, 1]."""
    shape = tuple(x.shape[1:])
    config = VAEConfig(input_dim=shape, latent_dim=latent_dim, reconstruction_loss="bce")
    encoder = Encoder(x[0].numel(), hidden, latent_dim)
    vae = VAE(config, encoder, Decoder(shape, hidden, latent_dim))
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nowhere,
        redirect_stderr(nowhere),
    ):
        training = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            per_device_train_batch_size=128,
            learning_rate=1e-3,
            no_cuda=True,
        )
        data = BaseDataset(x, torch.ones(len(x)))
        BaseTrainer(vae, data, training_config=training).train()
