"""What the numbers of a run say is wrong with it, each with the setting to try; what explains most comes first."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from genbench.evaluation.context import Evaluation, Unmeasurable
from genbench.model import supports

FEW_STEPS, ENOUGH_STEPS = (
    200,
    2000,
)  # gradient steps of a run that has hardly begun, and of one that may be judged
LATE_FALL = 0.05  # of all that the validation loss fell: what the second half of a finished training does not add
ALIKE = 0.01  # of the data's variance: samples or reconstructions that vary less are all alike
IS_COPY, NEAR = 0.1, 0.5  # `memorisation` of copies, and of samples that may be copies or blurred
OVERFITTED = (
    0.5  # nats by which a value of a training point may be likelier than one of a test point
)
EXACT = 1e-9  # of the data's variance: a squared error that is rounding


class Finding(NamedTuple):
    """Something that may be wrong: its `kind` in a word or two, a sentence, and the setting to try, as one would type it."""

    kind: str
    text: str
    setting: str = ""


Card = dict[str, dict]  # the entries of a card by name
SIGNS: list[Callable[[Evaluation, Card], Finding | None]] = []


def sign(function):
    """List a function `(evaluation, card) -> finding or None`; those that are listed first are reported first."""
    SIGNS.append(function)
    return function


def diagnosed(e: Evaluation, card: list[dict]) -> list[dict[str, str]]:
    """Everything that seems to be wrong: the fields of each `Finding`."""
    by_name = {entry["name"]: entry for entry in card}
    return [found._asdict() for look in SIGNS if (found := _seen(look, e, by_name)) is not None]


def _seen(look: Callable, e: Evaluation, card: Card) -> Finding | None:
    try:
        return look(e, card)
    except Unmeasurable:
        return None


def _number(value: float) -> str:
    """Two significant digits, as one would type them."""
    return f"{float(f'{value:.2g}'):g}"


def _scaled(e: Evaluation, name: str, factor: float) -> str:
    """A numeric setting of the model, times a factor; nothing if the model has no such setting."""
    value = e.model.s.get(name)
    known = isinstance(value, int | float) and value > 0
    return (
        f"{name}={max(1, round(value * factor)) if isinstance(value, int) else _number(value * factor)}"
        if known
        else ""
    )


def _first(*settings: str) -> str:
    """The first setting that the model has."""
    return next(filter(None, settings), "")


@sign
def not_finite(e: Evaluation, card: Card) -> Finding | None:
    if not e.broken:
        return None
    ways = _scaled(e, "lr", 0.1), _scaled(e, "langevin_rate", 0.1), _scaled(e, "reg_covar", 10)
    return Finding("not finite", "; ".join(e.broken), _first(*ways))


@sign
def undertrained(e: Evaluation, card: Card) -> Finding | None:
    """A training that was too short: by its number of steps, or as its validation loss still fell in the second half.

    The second half counts, not the end, where a falling learning rate makes every curve flat. A run that makes
    `ENOUGH_STEPS` is judged by neither: where an epoch is long, the curve begins after the steep part. Nor is one whose
    validation loss rose again, or that stopped early for that reason: more steps would make it worse.
    """
    cost = e.found.get("cost", {})
    steps, late = cost.get("steps"), cost.get("late_fall")
    if (
        steps is None or "steps" not in e.model.s or e.model.converged
    ):  # only what learns by steps has these
        return None
    if cost.get("kept_epoch", math.inf) < cost.get("epochs", 0) or (late is not None and late < 0):
        return None
    if steps < FEW_STEPS:
        text = f"{steps} gradient steps are few"
    elif steps < ENOUGH_STEPS and late is not None and late > LATE_FALL:
        text = f"the second half of {steps} gradient steps still brought {late:.0%} of the fall of the validation loss"
    else:
        return None
    return Finding(
        "undertrained", f"undertrained: {text}", _lasting(e, max(ENOUGH_STEPS, 2 * steps))
    )


def _lasting(e: Evaluation, steps: int) -> str:
    """The setting of a run of about so many steps, counted as the length of this one is."""
    cost = e.found["cost"]
    if e.model.s.get("steps") or "epochs" not in cost:
        return f"steps={steps}"
    return f"epochs={math.ceil(steps * cost['epochs'] / cost['steps'])}"


@sign
def overfitted(e: Evaluation, card: Card) -> Finding | None:
    """A likelihood that is much higher on training points than on test points, by more than `OVERFITTED` for each value."""
    parts = [e.found.get(part, {}) for part in ("train", "test")]
    name = "negative_elbo" if "negative_elbo" in parts[0] else "nll"
    if any(part.get(name) is None for part in parts):
        return None
    gap = parts[1][name] - parts[0][name]
    if gap <= OVERFITTED * e.data.spec.size:
        return None
    patience = (
        "patience=10" if "patience" in e.model.s and e.model.s.get("patience") is None else ""
    )
    ways = (
        _scaled(e, "reg_covar", 10),
        _scaled(e, "n_components", 0.5),
        patience,
        _scaled(e, "latent_dim", 0.5),
    )
    text = f"overfitted: {name} is {parts[0][name]:.4g} on training points, and {parts[1][name]:.4g} on test points"
    return Finding("overfitted", text, _first(*ways))


@sign
def collapse(e: Evaluation, card: Card) -> Finding | None:
    """Codes that tell points apart no more, judged by what is lost: idle units cost nothing where others do the work."""
    if not (e.vectors and len(e.test) > 1):
        return None
    units = card.get("active_units")
    if units is not None and units["value"] == 0:
        what = f"none of {e.model.latent_dim} latents depends on the data"
    elif _idle_units(e) == e.codes.shape[1]:
        what = "the codes of all points are the same"
    elif (
        supports(e.model, "decode") and (share := _share_of_variance(e, e.reconstructions)) < ALIKE
    ):
        what = f"the reconstructions are all alike (their variance is {share:.1%} of the data's)"
    else:
        return None
    beta = e.model.s.get("beta")
    ways = (
        "beta=1" if beta is not None and beta > 1 else _scaled(e, "beta", 0.1),
        _scaled(e, "lambda", 0.1),
        _scaled(e, "lr", 0.3),
    )
    kind = "posterior collapse" if supports(e.model, "posterior") else "collapse"
    return Finding(
        kind,
        f"{kind}: {what}",
        _first(*ways if e.model.s.get("objective", "elbo") == "elbo" else ways[1:]),
    )


def _idle_units(e: Evaluation) -> int:
    """How many units of the code have the same value at all test points, to rounding."""
    codes = e.codes.double()
    return int((codes.var(0, correction=0) <= 1e-8 * codes.square().mean().clamp(min=1e-300)).sum())


def _share_of_variance(e: Evaluation, points: torch.Tensor) -> float:
    """The variance of points [n, *shape], over that of the test points."""
    found, of_data = (
        float(e.values(some).double().var(0, correction=0).sum()) for some in (points, e.x)
    )
    e.need(of_data > 0)
    return found / of_data


@sign
def samples_alike(e: Evaluation, card: Card) -> Finding | None:
    """Samples that are nearly one point, which a collapse of the codes explains where there is one."""
    if _seen(collapse, e, card) is not None or not supports(e.model, "sample") or len(e.test) < 2:
        return None
    share = _share_of_variance(e, e.samples)
    if share >= ALIKE:
        return None
    too_short = _seen(undertrained, e, card)
    text = f"the samples are all alike (their variance is {share:.2%} of the data's)"
    return Finding(
        "samples alike", text, _first(too_short.setting if too_short else "", _scaled(e, "lr", 0.3))
    )


def _is_one_point(e: Evaluation, card: Card) -> bool:
    """Whether the model has collapsed, which explains whatever else is wrong with its samples."""
    return any(_seen(look, e, card) is not None for look in (collapse, samples_alike))


@sign
def nothing_to_compress(e: Evaluation, card: Card) -> Finding | None:
    """Codes with as many values as a point, from which a model may learn to copy its input."""
    size = e.data.spec.size
    if not (
        e.vectors and supports(e.model, "decode") and e.model.latent_dim >= size and len(e.test) > 1
    ):
        return None
    if _share_of_variance(e, e.reconstructions - e.x) > EXACT:
        return None
    held = f"a code of {e.model.latent_dim} values can hold a whole point of {size}"
    text = f"reconstructions are exact, as {held}: they show nothing that was learnt"
    return Finding("nothing to compress", text, f"latent_dim={size - 1}" if size > 1 else "")


@sign
def saturated(e: Evaluation, card: Card) -> Finding | None:
    train = e.found.get("train", {})
    if not (train.get("d_real", 0) > 0.99 and train.get("d_fake", 1) < 0.01):
        return None
    told = f"D(x) {train['d_real']:.3f}, D(G(z)) {train['d_fake']:.3f}"
    text = f"the discriminator tells all samples from data ({told}), so the generator learns little"
    return Finding("saturated discriminator", text, _scaled(e, "lr", 0.5))


@sign
def missing_modes(e: Evaluation, card: Card) -> Finding | None:
    return _missing(e, card, "modes", "modes")


@sign
def missing_classes(e: Evaluation, card: Card) -> Finding | None:
    return _missing(e, card, "classes_covered", "classes")


def _missing(e: Evaluation, card: Card, name: str, what: str) -> Finding | None:
    covered = card.get(name)
    there = int(covered["of"].removeprefix("of ")) if covered else 0
    if covered is None or covered["value"] >= there:
        return None
    text = f"samples cover {covered['value']} of {there} {what}"
    return Finding(f"missing {what}", text, "" if _is_one_point(e, card) else _more(e, card, there))


@sign
def poor_samples(e: Evaluation, card: Card) -> Finding | None:
    """Samples of which most are unlike data, or that are near data, but near little of it."""
    near, reached = (card.get(name, {"value": None})["value"] for name in ("precision", "coverage"))
    if near is None or reached is None or _is_one_point(e, card):
        return None
    if near < 0.5:
        text = f"few samples look like data (precision {near:.2f}), and they reach {reached:.0%} of it (coverage {reached:.2f})"
        return Finding("samples unlike data", text, _more(e, card))
    if reached > 0.5 * near:
        return None
    text = f"samples are near data (precision {near:.2f}), but near little of it (coverage {reached:.2f})"
    return Finding("low coverage", text, _more(e, card))


def _more(e: Evaluation, card: Card, modes: int = 0) -> str:
    """The setting by which a model covers more of the data, which has so many modes, if that is known."""
    s = e.model.s
    ema = "ema=0.999" if s.get("ema") == 0 else ""
    sampler = "sampler=gmm" if s.get("sampler") in ("prior", "gaussian") else ""
    k = s.get("n_components")
    components = f"n_components={max(modes, 2 * k)}" if isinstance(k, int) else ""
    return _first(ema, sampler, components, "" if e.model.converged else _longer(e, card))


def _longer(e: Evaluation, card: Card) -> str:
    """The setting that makes a run long enough, or else twice as long, counted as its length is."""
    too_short = _seen(undertrained, e, card)
    steps = e.found.get("cost", {}).get("steps")
    if too_short is not None:
        return too_short.setting
    return f"steps={2 * steps}" if steps and e.model.s.get("steps") else _scaled(e, "epochs", 2)


@sign
def dead_units(e: Evaluation, card: Card) -> Finding | None:
    if not e.vectors or supports(e.model, "posterior") or len(e.test) < 2:
        return None
    idle, units = _idle_units(e), e.codes.shape[1]
    if not 0 < idle < units:  # where all are idle, it is a collapse
        return None
    text = f"{idle} of {units} units of the code never change"
    return Finding(
        "idle units",
        text,
        _first(_scaled(e, "lambda", 0.1), _scaled(e, "lr", 0.3), f"latent_dim={units - idle}"),
    )


@sign
def copies(e: Evaluation, card: Card) -> Finding | None:
    """Samples that are tied to training points, or so near to them as only copies are.

    Blurred samples are near to everything without being copies, and so is one point in the midst of the data.
    """
    if _is_one_point(e, card):
        return None
    copied, ratio = card.get("copied"), card.get("memorisation")
    tied = copied is not None and (copied["low"] or 0) > 0
    near = ratio is not None and ratio["value"] < (NEAR if tied else IS_COPY)
    if tied and copied["value"] > 0.5:
        told = f"{copied['value']:.0%} of them are tied to one training point"
    elif near:
        told = f"they are {ratio['value']:.2f} times as far from training points as new data are"
    else:
        return None
    s = e.model.s
    # A bandwidth that was chosen, not given, is the best for the likelihood: another model is what helps.
    wider = _scaled(e, "bandwidth", 2) if isinstance(s.get("bandwidth"), float | int) else ""
    density = getattr(e.model, "density", None)  # of codes
    sampler = "sampler=gmm" if density is not None and density.stores_training_data else ""
    patience = (
        "patience=10" if "patience" in s and s.get("patience") is None and e.model.criterion else ""
    )
    ways = wider, sampler, _scaled(e, "n_components", 0.5), patience
    return Finding(
        "copies",
        f"samples copy training points: {told}",
        _first(*ways, "model=gmm" if "bandwidth" in s else ""),
    )


@sign
def no_likelihood(e: Evaluation, card: Card) -> Finding | None:
    output = getattr(e.model, "likelihood", None)
    if output is None or output.describes(e.data.spec):
        return None
    text = "the reconstruction term is no likelihood of such data, so its bound compares only with others of the same kind"
    return Finding(
        "no likelihood",
        f"{text} (likelihood={e.model.s.get('likelihood')})",
        "likelihood=continuous-bernoulli",
    )


@sign
def weight_of_beta(e: Evaluation, card: Card) -> Finding | None:
    """No fault: what the setting is in the units of the paper."""
    beta = getattr(e.model, "weights", {}).get("beta")
    if beta is None or e.model.latent_dim is None or beta == 1:
        return None
    share = beta * e.model.latent_dim / e.data.spec.size
    return Finding(
        "note",
        f"beta={beta:g} is {share:.3g} as Higgins et al. 2017 normalise it (beta latent_dim / values of a point)",
    )
