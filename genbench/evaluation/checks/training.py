"""Problems of the training itself: it diverged, was too short, or went on for too long."""

import math
from typing import NamedTuple

from genbench.evaluation.checks.case import Case, Finding, Losses, first
from genbench.evaluation.context import FEW_TEST, Unmeasurable

FEW_STEPS, ENOUGH_STEPS = 200, 2000  # a run that has hardly begun, and one that may be judged
LATE_FALL = 0.05  # share of the whole fall of the validation loss that is negligible
FEW_TRAIN = 20  # points; with fewer, and fewer than `FEW_TEST` to test on, no number says much
OVERFITTED = 0.76  # of pairs of a training and a held-out point, the latter has the larger loss:
# what two normal distributions give whose means are one standard deviation apart
RISE = 0.1  # of the gap between the losses: a rise of the validation loss that matters
NATS = ("nll", "negative_elbo")  # criteria that are negative log-likelihoods, or bounds on them
WIDE = 0.5  # nats for each value of a point
SURE = 3.0  # standard errors
FEWEST_VALIDATION = 10  # validation points whose mean loss can be trusted to have a minimum


def not_finite(case: Case) -> Finding | None:
    """Samples, codes or measures that are not finite."""
    if not case.e.broken:
        return None
    ways = case.scaled("lr", 0.1), case.scaled("langevin_rate", 0.1), case.scaled("reg_covar", 10)
    return Finding("not finite", "; ".join(case.e.broken), first(*ways))


def few_points(case: Case) -> Finding | None:
    """A dataset so small that test points say nothing and training points are easily memorised."""
    train, test = len(case.data.train), len(case.data.splits["test"])
    if train >= FEW_TRAIN and test >= FEW_TEST:
        return None
    text = (
        f"few points: {train} to learn from are easily memorised, and {test} to test on say little "
        "of new data; add data"
    )
    return Finding("few points", text)


def undertrained(case: Case) -> Finding | None:
    """A training that was too short: by its number of steps, or by its validation loss, which still
    fell in the second half.

    The second half counts, not the end, where a falling learning rate makes every curve flat. A run
    of `ENOUGH_STEPS` is judged by neither: where an epoch is long, the curve begins after the steep
    part. A shorter one without a curve is undertrained as far as anybody can tell. A run whose
    validation loss rose again, or that stopped early for that reason, needs no more steps.
    """
    steps, late = case.cost.get("steps"), case.cost.get("late_fall")
    if steps is None or "steps" not in case.settings or case.model.converged:
        return None
    stopped_early = case.cost.get("kept_epoch", math.inf) < case.cost.get("epochs", 0)
    if stopped_early or (late is not None and late < 0):
        return None
    if steps < FEW_STEPS:
        text = f"{steps} gradient steps are few"
    elif steps >= ENOUGH_STEPS:
        return None
    elif late is None:
        text = f"{steps:,} gradient steps are few, and no curve shows that they are enough"
    elif late > LATE_FALL:
        text = (
            f"the second half of {steps:,} gradient steps still brought {late:.0%} of the fall of "
            "the validation loss"
        )
    else:
        return None
    setting = case.lasting(2 * max(ENOUGH_STEPS, steps))
    return Finding("undertrained", f"undertrained: {text}", setting)


def overfitted(case: Case) -> Finding | None:
    """A loss that is lower on training points than on held-out points beyond doubt, and the
    validation loss rose again or, where no curve shows that, the gap is wide.
    """
    gap = _gap(case.losses)
    if gap.share - 0.5 < SURE * gap.error:
        return None
    return _rose_again(case, gap) or _fits_training_points_better(case, gap)


class Gap(NamedTuple):
    """How training points and held-out points differ in their losses: by the ranks (Mann & Whitney
    1947), which have no unit and mind no outliers, and in the mean."""

    share: float  # of pairs of a training and a held-out point where the latter has more loss
    error: float  # standard error of that share, if both had the same losses
    mean: float


def _gap(losses: Losses) -> Gap:
    train, held_out = losses
    n, m = len(train), len(held_out)
    if not n or not m:
        raise Unmeasurable
    differences = held_out[:, None] - train
    share = (differences > 0).double() + (differences == 0).double() / 2
    error = math.sqrt((n + m + 1) / (12 * n * m))
    return Gap(float(share.mean()), error, float(differences.mean()))


def _has_curve(case: Case) -> bool:
    """Whether the validation loss was measured often enough, and on enough points, to have a
    minimum.
    """
    points = len(case.data.splits.get("validation", ()))
    return "late_fall" in case.cost and points >= FEWEST_VALIDATION


def _rose_again(case: Case, gap: Gap) -> Finding | None:
    """The validation loss was lowest before the end, and its rise since is part of the gap."""
    rise, epoch = case.cost.get("late_rise", 0.0), case.cost.get("lowest_epoch")
    if not _has_curve(case) or not case.patience() or rise <= RISE * gap.mean:
        return None
    text = (
        f"overfitted: {case.model.criterion} on the validation data was lowest after about epoch "
        f"{epoch}, and has risen by {rise:.3g} since"
    )
    fifth = math.ceil(case.cost["epochs"] / 5)
    epochs = max(case.settings.get("validate_every", 1), min(20, fifth))
    return Finding("overfitted", text, case.patience(epochs))


def _fits_training_points_better(case: Case, gap: Gap) -> Finding | None:
    """Held-out points have a larger loss than training points in most pairs of the two.

    Even the best likelihood is higher on training points, so only a wide gap between likelihoods
    counts. A curve of another loss that ends at its minimum shows that nothing is lost.
    """
    if case.model.criterion in NATS:
        is_harmless = gap.mean <= WIDE * case.data.spec.size
    else:
        is_harmless = _has_curve(case)
    if gap.share < OVERFITTED or is_harmless:
        return None
    metrics, name = case.e.metrics, case.model.criterion
    on_train = metrics.get("train", {}).get(name, float(case.losses.train.mean()))
    on_test = metrics.get("test", {}).get(name, float(case.losses.held_out.mean()))
    reg_covar, usual = case.settings.get("reg_covar"), usual_reg_covar(case)
    is_small = reg_covar == "auto" or (isinstance(reg_covar, float) and reg_covar < usual)
    ways = (
        f"reg_covar={usual}" if is_small else "",  # more of it makes Gaussians too wide
        case.scaled("n_components", 0.5),
        "covariance=diag" if case.settings.get("covariance") == "full" else "",
        case.patience() if case.cost.get("late_rise", 0) > 0 else "",
        case.scaled("latent_dim", 0.5),
    )
    text = (
        f"overfitted: {name} is {on_train:.4g} on training points, and {on_test:.4g} on test points"
    )
    return Finding("overfitted", text, first(*ways))


def usual_reg_covar(case: Case) -> float:
    """What is added to the variances of a mixture that overfits: of pixels, or of values whose
    variance is about 1.
    """
    return 0.01 if case.data.spec.unit else 0.1


def saturated(case: Case) -> Finding | None:
    """A discriminator that is always right, from which the generator learns nothing."""
    train = case.e.metrics.get("train", {})
    if not (train.get("d_real", 0) > 0.99 and train.get("d_fake", 1) < 0.01):
        return None
    means = f"D(x) {train['d_real']:.3f}, D(G(z)) {train['d_fake']:.3f}"
    text = f"the discriminator is never wrong ({means}), so the generator learns little from it"
    return Finding("saturated discriminator", text, case.scaled("lr", 0.5))
