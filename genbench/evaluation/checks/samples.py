"""Problems of samples: they are all alike, unlike data, cover little of it, or copy it."""

import math

import torch

from genbench.evaluation.checks.case import ENOUGH, Case, Finding, first, percent_below
from genbench.evaluation.checks.codes import LEAST_VARIANCE, collapse
from genbench.evaluation.checks.training import undertrained, usual_reg_covar
from genbench.model import supports
from genbench.stats import neighbours

IS_COPY, NEAR = 0.1, 0.5  # `memorisation` of copies, and of what may be copies or blurred samples
TO_ONE = 0.7  # of a few training points; in between lie samples of models that are still learning
FAR = 5.0  # times the fid of real data
# With more values per point than this, the kernel of `bandwidth=loo` ties most samples to one
# training point each: `copied` was .06 for normal data of 3 dimensions, .29 of 8, .49 of 12.
MOST_VALUES_OF_LOO = 10
PER_CLASS = 10  # samples for each class or mode, so that none of them is missed by chance


def samples_alike(case: Case) -> Finding | None:
    """Samples that are nearly one point; where the codes collapsed, that explains it."""
    if not supports(case.model, "sample") or case.result(collapse) is not None:
        return None
    share = case.share_of_variance(case.samples)
    if share >= LEAST_VARIANCE:
        return None
    too_short = case.result(undertrained)
    setting = first(too_short.setting if too_short else "", case.scaled("lr", 0.3))
    text = f"the samples are all alike (their variance is {percent_below(share)} of the data's)"
    return Finding("samples alike", text, setting)


def _are_one_point(case: Case) -> bool:
    """Whether the model has collapsed, which explains all else that is wrong with its samples."""
    return any(case.result(check) is not None for check in (collapse, samples_alike))


def missing_modes(case: Case) -> Finding | None:
    """Modes of a known density that no samples lie near."""
    return _missing(case, "modes", "modes")


def missing_classes(case: Case) -> Finding | None:
    """Classes that hardly any sample is taken for, though real data show them."""
    return _missing(case, "classes_covered", "classes")


def _missing(case: Case, name: str, what: str) -> Finding | None:
    covered = case.entry(name)
    if covered is None:
        return None
    real, total = case.real(name), covered["total"]
    possible = total if real is None else min(total, real["value"])
    if covered["value"] >= possible or case.entry(name, PER_CLASS * total) is None:
        return None
    text = f"samples cover {covered['value']} of {total} {what}"
    setting = "" if _are_one_point(case) else _cover_more(case, total)
    return Finding(f"missing {what}", text, setting)


def poor_samples(case: Case) -> Finding | None:
    """Samples that are mostly unlike data, that are far from it by `fid`, or that reach little of
    it.
    """
    precision, coverage = case.entry("precision"), case.entry("coverage")
    if precision is None or coverage is None or _are_one_point(case):
        return None
    near, reached = precision["value"], coverage["value"]
    if near < 0.5:
        text = (
            f"few samples look like data (precision {near:.2f}), and they reach {reached:.0%} of "
            f"it (coverage {reached:.2f})"
        )
        return Finding("samples unlike data", text, _cover_more(case))
    fid, real = case.entry("fid"), case.real("fid")
    if fid is not None and real is not None and (fid["low"] or 0) > FAR * real["value"]:
        text = (
            f"samples are far from data: fid is {fid['value']:.3g}, and {real['value']:.3g} for "
            "real data in their place"
        )
        return Finding("samples unlike data", text, _cover_more(case))
    if reached <= 0.5 * near:
        text = (
            f"samples are near data (precision {near:.2f}), but near little of it "
            f"(coverage {reached:.2f})"
        )
        return Finding("low coverage", text, _cover_more(case))
    return None


def _cover_more(case: Case, modes: int = 0) -> str:
    """The setting by which a model covers more of the data; `modes` is how many modes these have,
    if known. A run that was too short is made longer first.
    """
    too_short, settings = case.result(undertrained), case.settings
    components, reg_covar = settings.get("n_components"), settings.get("reg_covar")
    usual = usual_reg_covar(case)
    is_too_wide = isinstance(reg_covar, float) and reg_covar > usual
    is_calmed = settings.get("generator") != "network" or bool(settings.get("ema"))
    return first(
        too_short.setting if too_short is not None else "",
        "" if is_calmed else "ema=0.999",  # of a game, whose weights never come to rest
        "sampler=gmm" if settings.get("sampler") in ("prior", "gaussian") else "",
        case.scaled("bandwidth", 0.5),
        "bandwidth=loo" if settings.get("bandwidth") in ("scott", "silverman") else "",
        f"reg_covar={usual}" if is_too_wide else "",
        f"n_components={max(modes, 2 * components)}" if isinstance(components, int) else "",
        "" if case.model.converged else _twice_as_long(case),
    )


def _twice_as_long(case: Case) -> str:
    steps = case.cost.get("steps")
    return (
        f"steps={2 * steps}" if steps and case.settings.get("steps") else case.scaled("epochs", 2)
    )


def copies(case: Case) -> Finding | None:
    """Samples that are tied to training points, or so near to them as only copies are.

    Blurred samples are near to everything without being copies, and so is one point amid the data.
    """
    if _are_one_point(case):
        return None
    copied, ratio = case.entry("copied"), case.entry("memorisation")
    tied = copied["value"] if copied is not None and (copied["low"] or 0) > 0 else 0.0
    distance = math.inf if ratio is None else ratio["value"]
    if tied > 0.5:
        why = f"{tied:.0%} of them are each tied to one training point"
    elif distance < (NEAR if tied > 0 else IS_COPY):
        why = f"they are {distance:.2f} times as far from training points as new data are"
    elif (nearness := _nearness_among_few(case)) is not None and nearness < TO_ONE:
        why = "they are much nearer to one of them than to the next"
    else:
        return None
    return Finding("copies", f"samples copy training points: {why}", _copy_less(case))


def _nearness_among_few(case: Case) -> float | None:
    """Where test points are too few to compare with, how much nearer samples are to one training
    point than to the next, compared with training points: near 0 for copies, 1 for new points and
    for blur, which is as near to the next; else None.
    """
    if len(case.e.test) >= ENOUGH or not 2 < len(case.data.train) < 10 * ENOUGH:
        return None
    if not supports(case.model, "sample"):
        return None
    samples, train = (case.e.values(x).double() for x in (case.samples, case.e.train))
    from_one, from_next = (neighbours.radii(train, k) for k in (1, 2))
    usual = float((from_one / from_next).median())
    case.e.need(usual > 0)
    nearest = torch.cdist(samples, train).topk(2, largest=False).values
    return float((nearest[:, 0] / nearest[:, 1]).median()) / usual


def _copy_less(case: Case) -> str:
    settings = case.settings
    # With many values, the bandwidth of the best likelihood copies, too: another model helps.
    can_widen = settings.get("bandwidth") != "loo" and case.data.spec.size <= MOST_VALUES_OF_LOO
    density = getattr(case.model, "density", None)  # of codes
    return first(
        "bandwidth=loo" if "bandwidth" in settings and can_widen else "",
        "sampler=gmm" if density is not None and density.stores_training_data else "",
        case.scaled("n_components", 0.5),
        case.patience(),
        "model=gmm" if "bandwidth" in settings else "",
    )
