"""What the numbers of a run say is wrong with it, each with the setting to try.

What explains most comes first: a training that was too short before poor samples, and these before
remarks on the likelihood.
"""

import torch

from genbench.evaluation.checks import codes, samples, training
from genbench.evaluation.checks.case import Case, Check
from genbench.evaluation.context import Evaluation

CHECKS: tuple[Check, ...] = (
    training.not_finite,
    training.few_points,
    training.undertrained,
    training.overfitted,
    codes.collapse,
    samples.samples_alike,
    codes.nothing_to_compress,
    training.saturated,
    samples.missing_modes,
    samples.missing_classes,
    samples.poor_samples,
    codes.idle_units,
    samples.copies,
    codes.no_likelihood,
)


@torch.no_grad()
def diagnose(
    e: Evaluation, card: list[dict], real_data: list[dict] | None = None
) -> list[dict[str, str]]:
    """Everything that seems to be wrong, as the fields of each `Finding`, in the order of `CHECKS`.

    `card` and `real_data` are entries of a report card, of the model and of real data.
    """
    case = Case(e, card, real_data or [])
    findings = [case.result(check) for check in CHECKS]
    return [finding._asdict() for finding in findings if finding is not None]
