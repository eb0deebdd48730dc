"""Whether the space of codes is continuous (small steps decode to small steps) and complete (what
is drawn decodes to data).
"""

import math

import torch

from genbench.data.lazy import spread
from genbench.evaluation.context import Evaluation, K
from genbench.evaluation.registry import SHARE, measure
from genbench.stats import neighbours
from genbench.stats.intervals import Measured, parts

STEPS, PAIRS = 16, 500


def decoded_lines(e: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """Lengths [pairs, steps] of the steps of decoded straight lines between the codes of two test
    points, and the distances [pairs] of their ends; only of lines whose ends differ.
    """
    e.need(e.vectors and len(e.codes) > 1)
    chosen = spread(len(e.codes), 2 * PAIRS)
    half = len(e.codes[chosen]) // 2
    a, b = e.codes[chosen][:half], e.codes[chosen][half : 2 * half]
    # A conditional model needs one class for all of a line: that of the point it starts at.
    y = None if e.test.y is None else e.test.y[chosen][:half].repeat_interleave(STEPS + 1)
    t = torch.linspace(0, 1, STEPS + 1)[None, :, None]
    found = []
    for start in range(0, half, 50):
        pairs = slice(start, start + 50)
        at = slice(start * (STEPS + 1), (start + 50) * (STEPS + 1))
        lines = ((1 - t) * a[pairs, None] + t * b[pairs, None]).to(e.test.device)
        given = e.model.conditioned_on(None if y is None else y[at])
        found.append(
            e.values(given.decode(lines.flatten(0, 1)).cpu().double()).unflatten(0, lines.shape[:2])
        )
    points = torch.cat(found)
    steps, ends = points.diff(dim=1).norm(dim=2), (points[:, -1] - points[:, 0]).norm(dim=1)
    apart = ends > 1e-6 * points.abs().amax(dim=(1, 2))
    e.need(bool(apart.any()) and bool(points.isfinite().all()))
    return steps[apart], ends[apart]


@measure(
    "encode",
    "decode",
    group="latent space",
    unit="mean steps",
    better="lower",
    within=(1.0, float(STEPS)),
    only="of models whose codes are vectors",
)
def largest_step(e: Evaluation) -> Measured:
    """Continuity: the largest of 16 steps over the mean step, of what straight lines between two
    test codes decode to.

    1 where all steps are alike; 16 where all of the way is one jump. The median over pairs of test
    points.
    """
    steps, _ = e.once(decoded_lines)
    return median(e, steps.amax(1) / steps.mean(1))


def median(e: Evaluation, values: torch.Tensor) -> Measured:
    """The median of a value per pair [n]."""
    return e.resampled(
        lambda of: of(values).median(),
        {"pairs": len(values), "steps": STEPS},
        features=e.values.name,
    )


@measure(
    "encode",
    "decode",
    group="latent space",
    unit="distances of the ends",
    better="lower",
    within=(1.0, math.inf),
    only="of models whose codes are vectors",
)
def path_length(e: Evaluation) -> Measured:
    """Continuity: how long the way is that a straight line between two test codes decodes to, over
    the distance of its ends.

    1 where it is straight, as of every linear decoder. The median over pairs of test points.
    """
    steps, ends = e.once(decoded_lines)
    return median(e, steps.sum(1) / ends)


@measure(
    "codes",
    "decode",
    group="latent space",
    unit="share of draws",
    better="higher",
    within=SHARE,
)
def completeness(e: Evaluation) -> Measured:
    """Share of codes, as the model draws them to generate, that decode to a point nearer to a test
    point than its 5th neighbour is: to what looks like data.

    The precision of decoded draws, without the noise that samples may have. Blur raises it: no
    headline, as draws that all decode to the mean of the data may have 1.
    """
    e.need(len(e.draws) > K)
    found = e.features(e.draws)
    e.need(bool(found.isfinite().all()))
    n = {"draws": len(found), "test": len(e.test)}
    within = e.beside_test(neighbours.share_within)
    return parts(within, e.test_features, found).measured(n, features=e.features.name)
