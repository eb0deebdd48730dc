"""How likely the model says test points are."""

import inspect
import math
import re

import torch

from genbench.evaluation.by_shares import computed
from genbench.evaluation.context import Evaluation
from genbench.evaluation.registry import measure
from genbench.settings.groups import SamplerSettings
from genbench.stats.intervals import Measured
from genbench.utils.errors import UserError
from genbench.utils.schema import OF_THE_PRIOR

MOST_FOR_BOUND = 1000  # test points that a bound is measured on, which takes many decodings of each


def log_probs(e: Evaluation) -> torch.Tensor:
    """log p(x) [n] of test points: of all that count, or a bound of at most `MOST`; or of as many
    as were asked for.

    These go together, as the draws are the same at every call: in parts, their errors would not
    average out.
    """
    bound = "k" in inspect.signature(e.model.log_prob).parameters
    k, most = e.asked.k, e.asked.points
    if k is not None and not bound:
        raise UserError(
            "k", "this model's likelihood takes no importance samples", k, "leave it out"
        )
    points = (
        e.data.splits["test"].spread(most)
        if most
        else e.test.spread(MOST_FOR_BOUND)
        if bound
        else e.test
    )
    own = {} if k is None else {"k": k}
    return torch.cat(
        [
            computed(e.model, "log_prob", batch, **own).double()
            for batch in points.batches(MOST_FOR_BOUND)
        ]
    )


@measure(
    "log_prob",
    group="likelihood",
    unit="nats",
    better="higher",
    source="Burda et al. 2016, arXiv:1509.00519, for bounds",
    headline=True,
)
def log_prob(e: Evaluation) -> Measured:
    """Mean log-probability or log-density of a test point. `of` says which of the two, of what, and
    whether it is exact or a bound.

    A bound is the importance-weighted one, which grows with the number of importance samples
    towards the exact value.
    """
    return e.mean(e.once(log_probs), of=f"{measured_space(e)}; {likelihood_kind(e)}")


@measure(
    "log_prob",
    group="likelihood",
    unit="bits per value",
    better="lower",
    source="Theis et al. 2016, arXiv:1511.01844",
)
def bits_per_value(e: Evaluation) -> Measured:
    """-log2 p(x) / D of a test point with D values.

    Of dequantised pixels it bounds that of whole pixel values, as a log-density plus log of the
    cell's width does.
    """
    d = e.data.spec.size
    cell = 0 if e.model.is_discrete else d * math.log(e.data.spec.cell)
    return e.mean(
        -(e.once(log_probs) + cell) / (d * math.log(2)),
        of=f"{measured_space(e)}; {likelihood_kind(e)}",
    )


def likelihood_kind(e: Evaluation) -> str:
    """Whether `log_prob` is exact or which bound, in words."""
    k, said = e.asked.k, e.model.log_prob_kind
    said = said if k is None else re.sub(r"\d+(?= importance samples)", str(k), said)
    settings = e.model.settings
    by_prior = not isinstance(settings, SamplerSettings) or settings.sampler == "prior"
    return said if by_prior else f"{said}{OF_THE_PRIOR}"


def measured_space(e: Evaluation) -> str:
    """What `log_prob` is a probability or a density of, in words: only what agrees in this can be
    compared.
    """
    spec = e.data.spec
    if e.model.is_discrete:
        values = {
            None: "test values in [0, 1], as they are",  # of many levels, such as pixels
            1: "binary test values",
        }.get(spec.trials, f"test values that count {spec.trials} dots")
        of = f"probability of {values}"
    elif spec.cell < 1:
        of = f"density of test values in [0, 1], dequantised in cells of 1/{round(1 / spec.cell)}"
    else:
        of = "density of test values" + (" in [0, 1], as they are" if spec.unit else "")
    return of + (" given their classes" if e.model.conditional else "")
