"""Random numbers that are a function of seed, clock and purpose, not of earlier draws."""

import hashlib

import torch


def fold(*keys: int | str) -> int:
    """A 63-bit seed for these keys; distinct keys give unrelated streams."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*keys: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by `fold(*keys)`."""
    return torch.Generator(device).manual_seed(fold(*keys))
