"""What is known of a density that data were drawn from."""

from typing import Protocol

import torch


class Density(Protocol):
    """The true density that data were drawn from.

    modes   where its modes lie [K, D]; None if it has none that could be counted
    scales  standard deviations [K] around these modes
    """

    modes: torch.Tensor | None
    scales: torch.Tensor

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """log p(x) [n] of points [n, D], in nats."""
