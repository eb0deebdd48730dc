"""Problems of codes: they collapsed, some of their units are idle, or they compress nothing."""

from genbench.evaluation.checks.case import Case, Finding, first, percent_below
from genbench.model import supports

LEAST_VARIANCE = 0.01  # of the data's variance: points that vary less are all alike
EXACT = 1e-9  # of the data's variance: a squared error that is rounding


def collapse(case: Case) -> Finding | None:
    """Codes that no longer tell points apart, judged by what is lost: idle units cost nothing where
    others do the work."""
    model, settings = case.model, case.settings
    if not case.e.vectors:
        return None
    active = case.entry("active_units", least=2)
    if active is not None and active["value"] == 0:
        what = f"none of {model.latent_dim} latents depends on the data"
    elif case.idle_units == case.codes.shape[1]:
        what = "the codes of all points are the same"
    elif supports(model, "decode") and (share := _spread_of_reconstructions(case)) < LEAST_VARIANCE:
        of_data = f"{percent_below(share)} of the data's"
        what = f"the reconstructions are all alike (their variance is {of_data})"
    else:
        return None
    beta = settings.get("beta")
    lower_beta = "beta=1" if beta is not None and beta > 1 else case.scaled("beta", 0.1)
    ways: tuple[str, ...] = case.scaled("lambda", 0.1), case.scaled("lr", 0.3)
    if settings.get("objective", "elbo") == "elbo":
        ways = lower_beta, *ways
    kind = "posterior collapse" if supports(model, "posterior") else "collapse"
    return Finding(kind, f"{kind}: {what}", first(*ways))


def _spread_of_reconstructions(case: Case) -> float:
    return case.share_of_variance(case.reconstructions)


def nothing_to_compress(case: Case) -> Finding | None:
    """Codes with as many values as a point, with which a model can learn to copy its input."""
    size, dimension = case.data.spec.size, case.model.latent_dim
    if not (case.e.vectors and supports(case.model, "decode")):
        return None
    if dimension is None or dimension < size:
        return None
    if case.share_of_variance(case.reconstructions - case.x) > EXACT:
        return None
    text = (
        f"reconstructions are exact, as a code of {dimension} values can hold a whole point of "
        f"{size}: they do not show that anything was learnt"
    )
    return Finding("nothing to compress", text, f"latent_dim={size - 1}" if size > 1 else "")


def idle_units(case: Case) -> Finding | None:
    """Some units that never change, of codes that are no distributions; where all are idle, it is a
    collapse."""
    if not case.e.vectors or supports(case.model, "posterior"):
        return None
    idle, units = case.idle_units, case.codes.shape[1]
    if not 0 < idle < units:
        return None
    ways = case.scaled("lambda", 0.1), case.scaled("lr", 0.3), f"latent_dim={units - idle}"
    return Finding("idle units", f"{idle} of {units} units of the code never change", first(*ways))


def no_likelihood(case: Case) -> Finding | None:
    """A reconstruction term that is no likelihood of the data."""
    output = getattr(case.model, "likelihood", None)
    if output is None or output.describes(case.data.spec):
        return None
    text = (
        "the reconstruction term is not a likelihood of such data, so its bound compares only with "
        f"others of the same kind (likelihood={case.settings.get('likelihood')})"
    )
    return Finding("no likelihood", text, "likelihood=continuous-bernoulli")
