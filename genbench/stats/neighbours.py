"""Comparisons of samples by nearest neighbours: precision, recall, density, coverage, distances.

A sample is [n, D], a row a point. Distances are in double precision; a device without it, such as
mps, must pass CPU copies.
"""

import torch

from genbench.stats.blocks import PAIRS_AT_ONCE, require_points, row_blocks

MOST_IN_SINGLE = 1e15  # of values whose squares single precision can add up, even of a large image


def prdc(
    real: torch.Tensor, fake: torch.Tensor, k: int, real_radius: torch.Tensor | None = None
) -> dict[str, float]:
    """Precision, recall, density and coverage of features fake [m, D] given real [n, D].

    A ball reaches from a point to its k-th nearest neighbour in the point's own sample, which lies
    just outside. Rounding decides whether a point at the end of a ball is inside.

    precision  share of fake points in a real ball (Kynkäänniemi et al. 2019)
    recall     share of real points in a fake ball
    density    mean number of real balls around a fake point, over k; may exceed 1 (Naeem et al.
               2020, whose package `prdc` gives the same values)
    coverage   share of real balls with a fake point

    `real_radius` are the `radii` of the real points, if they are known.
    ValueError if k is below 1 or a sample has no more than k points.
    """
    _require_neighbours(k)
    require_points(k + 1, real, fake)
    real, fake = real.double(), fake.double()
    if real_radius is None:
        real_radius = radii(real, k)
    fake_radius = radii(fake, k)
    balls = torch.zeros(len(fake), dtype=torch.long, device=fake.device)  # around each fake point
    recalled = covered = 0
    for rows in row_blocks(real, fake):
        distance = torch.cdist(real[rows], fake)
        inside = distance < real_radius[rows, None]
        balls += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((distance < fake_radius).any(1).sum())
    return {
        "precision": float((balls > 0).double().mean()),
        "recall": recalled / len(real),
        "density": float(balls.double().mean()) / k,
        "coverage": covered / len(real),
    }


def share_within(
    real: torch.Tensor, fake: torch.Tensor, k: int, radius: torch.Tensor | None = None
) -> float:
    """The precision of `prdc`: the share of fake points [m, D] in the ball of a real one [n, D].

    `radius` are the `radii` of the real points, if they are known.
    ValueError as for `prdc`, but one fake point is enough.
    """
    _require_neighbours(k)
    require_points(k + 1, real)
    require_points(1, fake)
    real, fake = real.double(), fake.double()
    if radius is None:
        radius = radii(real, k)
    inside = [(torch.cdist(fake[rows], real) < radius).any(1) for rows in row_blocks(fake, real)]
    return float(torch.cat(inside).double().mean())


def _require_neighbours(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def radii(x: torch.Tensor, k: int) -> torch.Tensor:
    """The distance [n], in double precision, from each point [n, D] to its k-th nearest other."""
    x = x.double()
    nearest = [  # k + 1, because the nearest of all is the point itself
        torch.cdist(x[rows], x).topk(k + 1, dim=1, largest=False).values[:, -1]
        for rows in row_blocks(x, x)
    ]
    return torch.cat(nearest)


class Nearest:
    """For each point of x [n, D], exactly the nearest of other points, which come in parts.

    `index` [n] counts the other points in the order in which they came; -1 before any did.

    Candidates are found by |x|^2 - 2 x'y + |y|^2, which is fast, but its terms are rounded. Every
    pair that could be the nearest within that error is then measured by its difference.
    """

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x.double()
        self.centre = self.x.mean(0)  # far from it, rounding would hide small differences
        self.square = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        self.index = torch.full((len(x),), -1, device=x.device)
        self.seen = 0

    @property
    def distance(self) -> torch.Tensor:
        """The distance [n], in double precision, to the nearest so far."""
        return self.square.sqrt()

    def see(self, y: torch.Tensor) -> "Nearest":
        """Compare with more of the other points, y [m, D]."""
        y = y.double()
        for rows in row_blocks(self.x, y):
            self._compare(rows, y)
        self.seen += len(y)
        return self

    def _compare(self, rows: slice, y: torch.Tensor) -> None:
        x, best = self.x[rows], self.square[rows]
        pairs = torch.empty(0, 2)
        x_moved, y_moved = x - self.centre, y - self.centre
        largest = max(float(x_moved.abs().max()), float(y_moved.abs().max()))
        for dtype in (torch.float32, torch.float64):  # double if single leaves many in doubt
            if dtype is torch.float32 and largest > MOST_IN_SINGLE:
                continue
            pairs = _candidates(x_moved, y_moved, best, dtype)
            if len(pairs) <= 4 * len(x):
                break
        for some in pairs.split(max(1, PAIRS_AT_ONCE // x.shape[1])):
            i, j = some[:, 0], some[:, 1]
            square = (x[i] - y[j]).square().sum(1)
            least = best.scatter_reduce(0, i, square, "amin")
            nearer = (square == least[i]) & (square < best[i])
            # Written in reverse order, so that the first of several equally near points stays.
            self.index[rows].scatter_(0, i[nearer].flip(0), self.seen + j[nearer].flip(0))
            best.copy_(least)


def _candidates(
    x: torch.Tensor, y: torch.Tensor, best: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Pairs [k, 2] of rows of x [n, D] and y [m, D] that may be each other's nearest.

    A pair counts if, as far as this precision can show, it may be nearer than the best squared
    distance [n] of its row and than all other rows of y.
    """
    a, b = x.to(dtype), y.to(dtype)
    square_a, square_b = a.square().sum(1)[:, None], b.square().sum(1)
    # A sum of D products is off by at most D roundings of the sum of their sizes.
    error = (x.shape[1] + 8) * torch.finfo(dtype).eps * 2 * (square_a + square_b.max())
    about = square_a + square_b - 2 * a @ b.T
    nearest = about.amin(1, keepdim=True)
    limit = torch.minimum(best.to(dtype)[:, None] + error, nearest + 2 * error)
    return (about <= limit).nonzero()
