"""How likely the model says test points are."""

import inspect
import re
from functools import partial

import torch

from ..card import Evaluation, Measured, measure
from ..errors import UserError
from ..metrics import bits_per_dim, likelihood_kind, measured_space


def log_probs(e: Evaluation) -> tuple[torch.Tensor, str]:
    """log p(x) [n] of test points with e.k importance samples, and its kind."""
    if "k" not in inspect.signature(e.model.log_prob).parameters:
        raise UserError("k", "this model's likelihood takes no importance samples", e.k, "leave it out")
    # All points together, as the draws are the same at every call: in parts, their errors would not average out.
    found = [partial(e.model.given(y).log_prob, k=e.k)(x).cpu().double() for x, y in e.test.first(1000).batches(1000)]
    return torch.cat(found), re.sub(r"\d+(?= importance samples)", str(e.k), likelihood_kind(e.model))


@measure("log_prob", group="likelihood", unit="nats", better="higher", source="Burda et al. 2016, arXiv:1509.00519, for bounds")
def log_prob(e: Evaluation) -> Measured | None:
    """Mean log-probability or log-density of a test point; `of` tells which, of what, and whether it is exact or a bound.

    A bound is the importance-weighted one, which grows with the number of importance samples towards the exact value.
    The interval is 1.96 standard errors to both sides.
    """
    if e.k is None:
        found = e.found.get("likelihood")
        if found is None or "standard_error" not in found:
            return None
        mean, error, n, kind, of = (found[name] for name in ("log_prob", "standard_error", "n", "kind", "of"))
    else:
        values, kind = e.once(log_probs)
        mean, n, of = float(values.mean()), len(values), measured_space(e.model, e.data)
        error = float(values.std(correction=0)) / n**0.5
    return Measured(mean, {"test": n}, low=mean - 1.96 * error, high=mean + 1.96 * error, of=f"{of}; {kind}")


@measure("log_prob", group="likelihood", unit="bits per value", better="lower", source="Theis et al. 2016, arXiv:1511.01844")
def bits_per_value(e: Evaluation) -> Measured | None:
    """-log2 p(x) / D of a test point with D values; of dequantised pixels, a bound for whole pixel values."""
    nats = log_prob(e)
    if nats is None:
        return None
    value, high, low = (bits_per_dim(e.model, e.data, number) for number in (nats.value, nats.low, nats.high))
    return nats._replace(value=value, low=low, high=high)
