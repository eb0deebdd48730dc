"""What the numbers of a run say is wrong with it, in words, each with the setting to change."""

from collections.abc import Callable

from ..card import Evaluation, Unmeasurable
from ..model import can

SIGNS: list[Callable[[Evaluation, dict[str, dict]], str | None]] = []


def sign(function):
    """List a function `(evaluation, card by name) -> line or None` as something that may be wrong."""
    SIGNS.append(function)
    return function


def diagnosed(e: Evaluation, card: list[dict]) -> list[str]:
    """A line for everything that seems to be wrong."""
    by_name = {entry["name"]: entry for entry in card}
    return [line for look in SIGNS if (line := _seen(look, e, by_name))]


def _seen(look: Callable, e: Evaluation, by_name: dict[str, dict]) -> str | None:
    try:
        return look(e, by_name)
    except Unmeasurable:
        return None


def _now(e: Evaluation, *names: str) -> str:
    """The settings with these names that the model has, as they are."""
    return ", ".join(f"{name}={e.model.s[name]}" for name in names if e.model.s.get(name) is not None)


def _ways(e: Evaluation, **ways: str) -> str:
    """What to change, by setting: those that the model has, as they are."""
    return ", ".join(f"{way} (now {_now(e, name)})" for name, way in ways.items() if way and e.model.s.get(name) is not None)


@sign
def not_finite(e, card):
    found, ways = "; ".join(e.broken), _ways(e, lr="a lower rate", langevin_rate="shorter steps", reg_covar="a larger floor")
    return f"{found}; try {ways}" if found and ways else found


@sign
def collapse(e, card):
    units = card.get("active_units")
    if units is None or units["value"] >= 0.1 * e.model.latent_dim:
        return None
    beta = "a lower weight, or an annealed one" if e.model.s.get("objective", "elbo") == "elbo" else ""
    ways = _ways(e, beta=beta, likelihood="one that asks for more", latent_dim="fewer")
    return f"posterior collapse: {units['value']} of {e.model.latent_dim} latents are used; try {ways}"


@sign
def saturated(e, card):
    train = e.found.get("train", {})
    if not (train.get("d_real", 0) > 0.99 and train.get("d_fake", 1) < 0.01):
        return None
    told = f"D(x) {train['d_real']:.3f}, D(G(z)) {train['d_fake']:.3f}"
    return f"the discriminator tells all samples from data ({told}), so the generator learns little; lower lr ({_now(e, 'lr')})"


@sign
def missing_modes(e, card):
    return _missing(e, card.get("modes"), "modes")


@sign
def missing_classes(e, card):
    return _missing(e, card.get("classes_covered"), "classes")


def _missing(e: Evaluation, covered: dict | None, what: str) -> str | None:
    there = int(covered["of"].removeprefix("of ")) if covered else 0
    return f"samples cover {covered['value']} of {there} {what}; {_more(e)}" if covered and covered["value"] < there else None


@sign
def low_coverage(e, card):
    near, reached = (card.get(name, {"value": None})["value"] for name in ("precision", "coverage"))
    if near is None or near < 0.5 or reached > 0.5 * near:
        return None
    return f"samples are near data (precision {near:.2f}), but near little of it (coverage {reached:.2f}); {_more(e)}"


def _more(e: Evaluation) -> str:
    """The settings by which a model covers more."""
    return "try " + _ways(
        e,
        ema="averaging the generator's weights",
        n_components="more components",
        sampler="another density of codes",
        lr="another rate",
        epochs="" if e.model.converged else "more passes",
    )


@sign
def dead_units(e, card):
    if not e.vectors or can(e.model, "posterior") or len(e.test) < 2:
        return None
    codes = e.codes.double()
    idle = int((codes.var(0, correction=0) <= 1e-8 * codes.square().mean().clamp(min=1e-300)).sum())
    if not idle:
        return None
    ways = _ways(e, **{"lambda": "a smaller penalty", "lr": "a lower rate", "latent_dim": "fewer"})
    return f"{idle} of {codes.shape[1]} units of the code never change; try {ways}"


@sign
def no_likelihood(e, card):
    output = getattr(e.model, "likelihood", None)
    if output is None or output.describes(e.data.space):
        return None
    return (
        "the reconstruction term is no likelihood of such data, so its bound compares only with others of the same kind; "
        f"dataset.binarize=static, or likelihood=continuous-bernoulli (now {_now(e, 'likelihood')})"
    )


@sign
def weight_of_beta(e, card):
    beta = getattr(e.model, "hp", {}).get("beta")
    if beta is None or e.model.latent_dim is None or beta == 1:
        return None
    share = beta * e.model.latent_dim / e.data.space.size
    return f"beta={beta:g} is {share:.3g} as Higgins et al. 2017 normalise it (beta latent_dim / values of a point)"


@sign
def copies(e, card):
    ratio = card.get("memorisation")
    if ratio is None or ratio["value"] >= 0.5:
        return None
    fix = _now(e, "bandwidth", "n_components", "sampler", "epochs")
    return f"samples are {ratio['value']:.2f} times as far from training points as new data are: copies; see {fix}"
