"""What genbench is timed against: training loops as one writes them by hand, on the same networks.

Each function takes a built model for its networks only, and images in memory or from a DataLoader.
None logs, saves, or validates anything.
"""

import copy
import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from genbench.models.gan import GAN
from genbench.models.vae import VAE
from genbench.models.wgan import WGAN


def in_memory(x: torch.Tensor, batch_size: int) -> Iterator[torch.Tensor]:
    """Batches of points x [N, *shape] in a random order."""
    return (x[index] for index in torch.randperm(len(x), device=x.device).split(batch_size))


def from_loader(
    root: str, images: int, batch_size: int, device: str = "cpu"
) -> Iterator[torch.Tensor]:
    """Batches of MNIST [n, 1, 28, 28] as tutorials read them: torchvision, ToTensor, DataLoader."""
    data = Subset(MNIST(root, train=True, transform=ToTensor()), range(images))
    return (x.to(device) for x, _ in DataLoader(data, batch_size=batch_size, shuffle=True))


def adam(*networks: nn.Module, lr: float = 1e-3) -> torch.optim.Optimizer:
    """Adam over the parameters of these networks."""
    return torch.optim.Adam([p for net in networks for p in net.parameters()], lr=lr, fused=True)


def descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """One step down the gradient."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def train_vae(model: VAE, batches: Iterable[torch.Tensor]) -> None:
    """One epoch of a VAE with Bernoulli pixels."""
    encoder, decoder = model.encoder, model.decoder
    optimizer = adam(encoder, decoder)
    for x in batches:
        mu, logvar = encoder(x).chunk(2, 1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        nll = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
        descend((nll + kl) / len(x), optimizer)


def slopes(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The gradient [n, size] of a network's output with respect to its input."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, ema: float) -> None:
    """Move an average of a network's weights towards them by a share 1 - ema."""
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - ema)


def train_gan(model: GAN, batches: Iterable[torch.Tensor]) -> None:
    """One epoch of a GAN with the R1 penalty and an average of the generator's weights."""
    generator, discriminator, s = model.generator, model.discriminator, model.settings
    average = copy.deepcopy(generator)
    for_generator, for_discriminator = adam(generator), adam(discriminator)
    for x in batches:
        with torch.no_grad():
            fake = generator(torch.randn(len(x), s.latent_dim, device=x.device))
        on_real, on_fake = discriminator(torch.cat([x, fake])).chunk(2)
        penalty = slopes(discriminator, x).square().sum(1).mean()
        loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean() + s.r1_gamma / 2 * penalty
        descend(loss, for_discriminator)
        fake = generator(torch.randn(len(x), s.latent_dim, device=x.device))
        descend(F.softplus(-discriminator(fake)).mean(), for_generator)
        follow(average, generator, s.ema)


def train_wgan(model: WGAN, batches: Iterable[torch.Tensor]) -> None:
    """One epoch of a Wasserstein GAN with a gradient penalty, one step of each network a batch."""
    generator, critic, s = model.generator, model.critic, model.settings
    average = copy.deepcopy(generator)
    for_generator, for_critic = adam(generator), adam(critic)
    for x in batches:
        with torch.no_grad():
            fake = generator(torch.randn(len(x), s.latent_dim, device=x.device))
        on_real, on_fake = critic(torch.cat([x, fake])).chunk(2)
        between = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device)
        steepness = slopes(critic, x + between * (fake - x)).norm(dim=1)
        loss = on_fake.mean() - on_real.mean() + s.lambda_ * (steepness - 1).square().mean()
        descend(loss, for_critic)
        fake = generator(torch.randn(len(x), s.latent_dim, device=x.device))
        descend(-critic(fake).mean(), for_generator)
        follow(average, generator, s.ema)


@torch.no_grad()
def importance_weighted(model: VAE, images: torch.Tensor, draws: int) -> torch.Tensor:
    """The importance-weighted bound [n] on log p(x), one image after the other."""
    bounds = []
    for x in images:
        mu, logvar = model.encoder(x[None]).chunk(2, 1)
        eps = torch.randn(draws, mu.shape[1])
        z = mu + eps * (0.5 * logvar).exp()
        log_px = -F.binary_cross_entropy_with_logits(
            model.decoder(z), x.expand(draws, *x.shape), reduction="none"
        )
        log_ratio = 0.5 * (eps.square() + logvar - z.square()).sum(1)
        bounds.append((log_px.flatten(1).sum(1) + log_ratio).logsumexp(0) - math.log(draws))
    return torch.stack(bounds)
