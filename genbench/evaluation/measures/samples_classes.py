"""Which classes, or modes of a known density, samples are of."""

import torch

from genbench.evaluation.context import Draw, Evaluation, needed
from genbench.evaluation.measures.samples import each
from genbench.evaluation.registry import POSITIVE, measure
from genbench.stats import divergences
from genbench.stats.intervals import Measured


def classes(e: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """The classes [n] that the classifier takes test points and samples for, of those that the data
    have.
    """
    e.need(e.features.classes > 1)
    return e.features.predict(e.x, e.classes), e.features.predict(e.samples, e.classes)


def counts(e: Evaluation, found: torch.Tensor) -> torch.Tensor:
    """How many points are of each class [classes]."""
    return torch.bincount(found, minlength=e.features.classes).double()


@measure("sample", group="samples", unit="classes", better="higher", only="on data with labels")
def classes_covered(e: Evaluation) -> Measured:
    """Number of classes, by a classifier, that have at least a tenth of the share of samples that
    they have of the data.
    """
    data, samples = (counts(e, found) for found in e.once(classes))
    covered = (data > 0) & (samples / samples.sum() >= 0.1 * data / data.sum())
    return Measured(
        int(covered.sum()),
        each(len(e.test)),
        features=e.features.name,
        total=int((data > 0).sum()),
    )


@measure(
    "sample",
    group="samples",
    unit="nats",
    better="lower",
    source="Santurkar et al. 2018, arXiv:1711.00970",
    within=POSITIVE,
    only="on data with labels",
)
def class_divergence(e: Evaluation) -> Measured:
    """KL divergence of the classes that samples are taken for from those that test points are taken
    for.

    Half a point is added to each class, so that it is finite.
    """
    x, y = e.once(classes)

    def divergence(of: Draw) -> torch.Tensor:
        data, samples = (counts(e, of(found)) + 0.5 for found in (x, y))
        return divergences.kl_discrete(samples / samples.sum(), data / data.sum())

    return e.resampled(divergence, each(len(x)), features=e.features.name)


@measure(
    "sample",
    group="samples",
    unit="nats",
    better="lower",
    source="Santurkar et al. 2018, arXiv:1711.00970",
    within=POSITIVE,
    only="on data with labels",
)
def class_imbalance(e: Evaluation) -> Measured:
    """KL divergence of the classes that samples are taken for from all that the data have being as
    frequent: 0 where they are, log K where only one of K is there.
    """
    x, y = e.once(classes)
    there = counts(e, x) > 0
    y = y[there[y]]
    e.need(len(y) > 0)

    def divergence(of: Draw) -> torch.Tensor:
        shares = counts(e, of(y))[there] / len(y)
        return divergences.kl_discrete(shares, torch.full_like(shares, 1 / len(shares)))

    return e.resampled(divergence, each(len(x)), features=e.features.name)


@measure("sample", group="samples", unit="share of test points", better="higher")
def classifier_accuracy(e: Evaluation) -> Measured | None:
    """Accuracy on test points of the classifier whose features and classes are used: what they are
    worth, not the model.
    """
    e.need(e.features.classes > 1 and not e.real)
    y, reference = e.test_labels, needed(e.data.reference)
    of = "" if reference.held_out else "points that it was trained on"
    return e.mean(e.features.predict(e.x, e.classes) == y, features=e.features.name, of=of)


def known_modes(e: Evaluation) -> torch.Tensor:
    """The modes [K, D] of the density that the data were drawn from. Unmeasurable if it is not
    known, or has none.
    """
    return needed(needed(e.data.density).modes)


def near_modes(e: Evaluation, n: int = 10_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Of n samples, those [n] within 3 standard deviations of the nearest mode of a known density,
    and its number [n].
    """
    centres, scales = known_modes(e), needed(e.data.density).scales
    samples = torch.cat([part.cpu() for part in e.draw(n, "modes")]).double()
    distance, mode = torch.cdist(samples, centres).min(1)
    return distance < 3 * scales[mode], mode


@measure(
    "sample",
    group="samples",
    unit="modes",
    better="higher",
    source="Srivastava et al. 2017, arXiv:1705.07761",
    headline=True,
    only="on data whose modes are known",
)
def modes(e: Evaluation) -> Measured:
    """Number of modes of a known density near which, within 3 standard deviations, at least .5 % of
    the samples lie.
    """
    near, mode = e.once(near_modes)
    there = len(known_modes(e))
    found = torch.bincount(mode[near], minlength=there) >= 0.005 * len(near)
    return Measured(int(found.sum()), {"samples": len(near)}, on="the density", total=there)


@measure(
    "sample",
    group="samples",
    unit="modes",
    better="higher",
    source="Srivastava et al. 2017, arXiv:1705.07761",
    only="on data whose modes are known",
)
def modes_loose(e: Evaluation) -> Measured:
    """Number of modes of a known density near which, within 3 standard deviations, any of 2,500
    samples lies, as published.
    """
    near, mode = (points[:2500] for points in e.once(near_modes))
    return Measured(
        len(mode[near].unique()),
        {"samples": len(near)},
        on="the density",
        total=len(known_modes(e)),
    )


@measure(
    "sample",
    group="samples",
    unit="share of samples",
    better="higher",
    source="Srivastava et al. 2017, arXiv:1705.07761",
    headline=True,
    only="on data whose modes are known",
)
def high_quality(e: Evaluation) -> Measured:
    """Share of samples within 3 standard deviations of any mode of a known density."""
    near, _ = e.once(near_modes)
    return e.mean(near, on="the density", n={"samples": len(near)})
