"""What fits data, where a setting leaves it to them: a likelihood, a network, scaling."""

from genbench.data.types import DataSpec
from genbench.settings.datasets import DatasetSettings

NETWORKS_OF_KINDS = {"images": "conv", "signals": "conv", "vectors": "mlp"}


def usual_likelihood(spec: DataSpec) -> str:
    """The likelihood that fits such data: `gaussian` unless values lie in [0, 1], `binomial` for
    shares of several dots.
    """
    if not spec.unit:
        return "gaussian"
    return "binomial" if (spec.trials or 1) > 1 else "bernoulli"


def standardizes(s: DatasetSettings, spec: DataSpec) -> bool:
    """Whether a model sees standardized values of such data."""
    asked = getattr(s, "standardize", False)  # which images do not have
    if asked != "auto":
        return bool(asked)
    return len(spec.shape) != 3 and spec.trials is None
