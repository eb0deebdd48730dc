"""Ends hopeless trials of a search early, by what each run logs after an epoch.

A run adds its number to the study's journal, which all processes of the search share, and Optuna's
pruner compares it with those of the trials that have ended.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.sweeps.goals import Goal
from genbench.sweeps.study import trial_of_worker
from genbench.utils.errors import UserError
from genbench.utils.text import number

if TYPE_CHECKING:
    from optuna.trial import Trial as OptunaTrial

logger = logging.getLogger("genbench")


@dataclass(frozen=True)
class Pruning:
    """By which study and goal trials are pruned; `trials` are their numbers, in the order of jobs.

    It is pickled for jobs in other processes.
    """

    journal: Path
    goal: Goal
    pruner: str
    trials: tuple[int, ...] = ()

    def of_job(self, index: int) -> "TrialPruning":
        """What looks at the epochs of a job."""
        return TrialPruning(self, self.trials[index])


class TrialPruning:
    """Looks at a run after each epoch, and says when it is hopeless."""

    def __init__(self, pruning: Pruning, number_: int) -> None:
        self.pruning, self.number = pruning, number_
        self.trial: OptunaTrial | None = None
        self.reported: set[int] = set()
        self.is_broken = False

    def __call__(self, epoch: int, epochs: int, point: Mapping[str, Mapping[str, float]]) -> str:
        """Why to end the run after this epoch of so many, with these terms by part of the data;
        nothing if it is to go on.

        UserError if the run does not log what the search optimizes.
        """
        value = self.pruning.goal.at_epoch(point)
        if value is None or self.is_broken:
            return ""
        try:
            is_hopeless = self._is_hopeless(epoch, epochs, value)
        except (OSError, ValueError, KeyError) as error:
            self.is_broken = True
            logger.warning("warning: this run cannot be pruned: %s", error)
            return ""
        if not is_hopeless or epoch == epochs:  # what is left is measuring
            return ""
        return f"hopeless after epoch {epoch} of {epochs}: {self.pruning.goal.name} {number(value)}"

    def _is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        if self.trial is None:
            how = self.pruning.pruner, epochs
            self.trial = trial_of_worker(self.pruning.journal, self.number, *how)
            self.reported = reported_epochs(self.trial)
        if epoch not in self.reported:  # by a session that was killed before its checkpoint
            self.trial.report(value, epoch - 1)  # Optuna counts from 0
        return self.trial.should_prune()


def reported_epochs(trial: "OptunaTrial") -> set[int]:
    """The epochs of a trial whose numbers are in its study."""
    trials = trial.study.get_trials(deepcopy=False)
    (own,) = (one for one in trials if one.number == trial.number)
    return {step + 1 for step in own.intermediate_values}


def pruner_of(options: Mapping[str, Any], goals: Sequence[Goal]) -> str:
    """The pruner of a search with these options; `none` where none can work. UserError where one
    was asked for that cannot.
    """
    chosen = options.get("pruner", "auto")
    if chosen == "none":
        return chosen
    fix = "leave pruner out, or set it to none"
    name = goals[0].name
    if len(goals) > 1:
        what = "prunes by one number, and this search optimizes two"
    elif not goals[0].is_logged:
        what = f"prunes by what is logged after each epoch, and {name} is measured at the end"
        fix += ", or optimize a term such as validation.nll"
    else:
        return "median" if chosen == "auto" else chosen
    if chosen == "auto":
        return "none"
    raise UserError("pruner", what, chosen, fix)
