"""Denoising autoencoder (Vincent et al. 2010, JMLR 11:3371)."""

import torch

from ..errors import UserError
from ..model import View
from .ae import Autoencoder


def salt_and_pepper(x, u, level):
    """Set a share `level` of the values to 0 or 1, each half of the time."""
    return torch.where(u < level / 2, 0.0, torch.where(u < level, 1.0, x))


CORRUPTIONS = {  # name: (how to draw its noise, how to apply it)
    "gaussian": (torch.randn, lambda x, eps, level: x + level * eps),
    "masking": (torch.rand, lambda x, u, level: torch.where(u < level, 0.0, x)),
    "salt-and-pepper": (torch.rand, salt_and_pepper),
}


class DAE(Autoencoder):
    """Reconstructs x from a corrupted copy of it. Encoding and decoding work on clean data."""

    def __init__(self, space, s):
        super().__init__(space, s)
        if s.corruption == "salt-and-pepper" and not space.unit:
            raise UserError("corruption", "needs data in [0, 1], such as images", s.corruption, "corruption=gaussian")
        self.distribution, self.corrupt = CORRUPTIONS[s.corruption]

    def draw(self, player, n, rng):
        return {"corruption": self.distribution((n, *self.space.shape), generator=rng, device=rng.device)}

    def loss(self, batch, noise, hp):
        corrupted = self.corrupt(batch.x, noise["corruption"], self.s.level)
        return self.reconstruction(batch.x, self.encode(corrupted)), {}

    def views(self, x, rng):
        corrupted = self.corrupt(x, self.draw("model", len(x), rng)["corruption"], self.s.level)
        rows = {"clean": x, "corrupted": corrupted, "reconstructed": self.decode(self.encode(corrupted))}
        return {"denoising": View("rows", f"held-out points under {self.s.corruption} corruption of level {self.s.level:g}", rows)}
