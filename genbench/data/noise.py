"""Noise on data: random binarization, and dequantization of whole-number pixels."""

from dataclasses import replace
from functools import partial

import torch

from genbench.data.lazy import LazyArray
from genbench.data.prepared import derived
from genbench.data.types import Noise, RawDataset, Split
from genbench.settings.datasets import DatasetSettings, ImageSettings
from genbench.utils.errors import UserError
from genbench.utils.rng import generator


def requested_noise(source: RawDataset, s: DatasetSettings) -> Noise | None:
    """The noise that the settings ask for; UserError if the data cannot have it."""
    if not isinstance(s, ImageSettings):
        return None
    asked = "binarize" if s.binarize != "none" else "dequantize" if s.dequantize else None
    if asked is not None and not source.unit:  # as arrays may be
        what = "needs values in [0, 1], as images have them"
        raise UserError(f"dataset.{asked}", what, getattr(s, asked), "leave it out")
    if s.binarize != "none":
        return Noise("binarize", "static", source.scale, binary, trials=1)
    if s.dequantize:
        if source.x.is_floating_point():
            what = "needs pixels that are whole numbers"
            raise UserError("dataset.dequantize", what, s.dequantize, "leave it out")
        levels = round(1 / source.scale) + 1
        draw = partial(uniform, width=1 / levels)
        return Noise("dequantize", "true", 1 / levels, draw, cell=1 / levels)
    return None


def add_noise(name: str, split: Split, noise: Noise, s: DatasetSettings) -> Split:
    """The split with its noise drawn once, or to be drawn at every visit if noise is `dynamic`.

    Only training points get dynamic noise. Held-out points keep one draw, so that epochs compare.
    """
    split = replace(split, scale=noise.scale)
    is_dynamic = isinstance(s, ImageSettings) and "dynamic" in (s.binarize, s.dequantize)
    if is_dynamic and name == "train":
        return replace(split, noise=noise)
    rng = generator(s.seed, noise.setting, name)
    if not isinstance(split.raw, LazyArray):
        return replace(split, raw=noise.draw(split.values(), rng), scale=1.0)
    origin = {"pixels": split.raw.identity, "scale": split.scale, "seed": [s.seed, name]}
    origin |= {"noise": noise.setting, "cell": noise.cell}
    dtype = torch.uint8 if noise.trials == 1 else torch.float32
    drawn = (noise.draw(x, rng) for x in split.chunks())
    what = f"{len(split):,} images of the {name} part with noise"
    raw = derived(origin, what, drawn, split.raw.shape, dtype)
    return replace(split, raw=raw, scale=1.0)


def binary(x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Black or white, as bytes; the pixel's value is its probability of being white."""
    return torch.bernoulli(x, generator=rng).byte()


def uniform(x: torch.Tensor, rng: torch.Generator, width: float) -> torch.Tensor:
    """A uniform draw from the cell [x, x + width) that was rounded to x.

    The mean log-density of such draws, plus log(width) per value, is at most the log-probability
    that a model gives to the whole pixel values (Theis et al. 2016, arXiv:1511.01844, section 3.1),
    so it is bounded.
    """
    u = torch.rand(x.shape, generator=rng, device=x.device)
    # float32 keeps 24 binary places: next to a pixel of 255, 16 for the place in its cell, and 8
    # next to a value of 65535. A draw closer to an edge of its cell would round into the next cell.
    edge = max(2**-16, 2**-24 / width)
    return u.clamp_(edge, 1 - edge).mul_(width).add_(x)
