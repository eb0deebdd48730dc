"""What the numbers of a run say is wrong with it, each with the setting to try.

What explains most comes first: a training that was too short before poor samples, and these before
remarks on the likelihood.
"""

import torch

from genbench.evaluation.checks import codes, samples, training
from genbench.evaluation.checks.case import Case, Check, Finding
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
# Settings whose best value cannot be seen before a model has been trained for long enough.
OF_TRAINING = ("lr", "beta", "lambda", "langevin_rate", "ema", "epochs", "steps")
STOPS_TRAINING = ("patience",)


@torch.no_grad()
def diagnose(
    e: Evaluation, card: list[dict], real_data: list[dict] | None = None
) -> list[dict[str, str]]:
    """Everything that seems to be wrong, as the fields of each `Finding`, in the order of `CHECKS`.

    `card` and `real_data` are entries of a report card, of the model and of real data.
    """
    case = Case(e, card, real_data or [])
    results = {check: case.result(check) for check in CHECKS}
    _merge_missing_and_poor(results)
    too_short = results[training.undertrained]
    if too_short is not None:
        for check in CHECKS[CHECKS.index(training.undertrained) + 1 :]:
            if (finding := results[check]) is not None:
                results[check] = _after_more_steps(finding, too_short.setting)
    return [finding._asdict() for finding in results.values() if finding is not None]


def _merge_missing_and_poor(results: dict[Check, Finding | None]) -> None:
    """Join poor samples to missing modes or classes where one setting is to help against both."""
    poor = results[samples.poor_samples]
    for check in (samples.missing_modes, samples.missing_classes):
        missing = results[check]
        if missing and poor and missing.setting and missing.setting == poor.setting:
            results[check] = missing._replace(text=f"{missing.text}; {poor.text}")
            results[samples.poor_samples] = None


def _after_more_steps(finding: Finding, longer: str) -> Finding:
    """The finding about an undertrained model, whose training needs steps before anything else."""
    name = finding.setting.partition("=")[0]
    if name in STOPS_TRAINING:
        return finding._replace(setting="")
    return finding._replace(setting=longer) if name in OF_TRAINING else finding
