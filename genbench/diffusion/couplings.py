"""Which noise each point of a batch is paired with.

Noise that is near its point makes the paths from one to the other straighter, and cross less.
"""

from collections.abc import Callable
from typing import Any

import torch

from genbench.utils.imports import optional

# The order [n] of noise, of which the i-th then belongs to the i-th point, from squared distances
# [n, n] of points and noise, uniform draws [n], and the strength of the entropy.
Pairing = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def optimal(cost: torch.Tensor, u: torch.Tensor, entropy: float) -> torch.Tensor:
    """The pairs of least total squared distance (Pooladian et al. 2023, arXiv:2304.14772; Tong et
    al. 2024, arXiv:2302.00482).
    """
    from scipy.optimize import linear_sum_assignment  # which other models need not import

    return torch.as_tensor(linear_sum_assignment(cost.double().cpu().numpy())[1])


def entropic(cost: torch.Tensor, u: torch.Tensor, entropy: float) -> torch.Tensor:
    """For each point a draw from its row of the entropic transport plan (Cuturi 2013,
    arXiv:1306.0895), whose entropy is weighted by `entropy` times the mean squared distance.
    """
    ot: Any = optional("ot", "transport", "coupling=sinkhorn")
    scaled = (cost / cost.mean()).double().cpu().numpy()
    marginal = [1 / len(scaled)] * len(scaled)
    # After its 1,000 iterations the plan of a tiny entropy is near enough to draw from.
    found = ot.sinkhorn(marginal, marginal, scaled, entropy, method="sinkhorn_log", warn=False)
    plan = torch.as_tensor(found)
    edges = plan.cumsum(1)
    return torch.searchsorted(edges, u.double().cpu()[:, None] * edges[:, -1:]).squeeze(1)


PAIRINGS: dict[str, Pairing] = {"ot": optimal, "sinkhorn": entropic}


def paired(
    kind: str,
    x: torch.Tensor,
    noise: torch.Tensor,
    u: torch.Tensor,
    entropy: float,
    y: torch.Tensor | None = None,
) -> torch.Tensor:
    """The order [n] in which noise [n, ...] goes with points x [n, ...].

    With labels y [n], points are paired with the noise of their own class, which is that of the
    places where the class stands in the batch. Pairs across classes would make the noise depend on
    the class, and samples of a class start from all noise (Cheng & Schwing 2025, arXiv:2503.10636).
    """
    order = torch.arange(len(x), device=x.device)
    groups = [order.clone()] if y is None else [(y == c).nonzero().flatten() for c in y.unique()]
    for members in groups:
        cost = torch.cdist(x[members].flatten(1), noise[members].flatten(1)) ** 2
        chosen = PAIRINGS[kind](cost, u[members], entropy).to(order.device)
        order[members] = members[chosen]
    return order
