"""The study of a search: its trials, as Optuna keeps them in a file in the sweep's folder.

The file is a journal, to which lines are added, rather than a database: SQLite needs locks that
shared file systems lack, and the journal has one that works there (a link that one process makes).
Processes that run trials add what they log after each epoch.

A trial is a function of the seed, its number and the trials before it, so that a search that was
killed goes on as it would have gone on.
"""

import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.sweeps.goals import Goal, as_json
from genbench.sweeps.search_space import Choice, Range, Space, TrialValue
from genbench.utils.errors import UserError
from genbench.utils.files import opened

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial as OptunaTrial

JOURNAL = "study.journal"
STUDY_NAME = "genbench"  # of the study in the journal
ABOUT = "genbench"  # the attribute of a study that says what it is about
# The attributes of a trial that repeats a failed one: the number of that one, and of the first one.
REPEATS, FIRST = "repeats", "first"
RANDOM_TRIALS = 6  # with which a search begins
FEWEST_FINISHED = 4  # trials that must have ended before others are pruned
WARM_UP = 0.1  # share of the epochs before which no trial is pruned
HALVING = 3  # hyperband keeps one trial of so many at each rung


@dataclass(frozen=True)
class Trial:
    """A trial of a study: its number, values by the setting, and state in our words.

    `first` is the number of the failed trial that it repeats, or its own. `values` are the numbers
    to optimize; of a pruned trial the last one that was logged.
    """

    number: int
    first: int
    settings: Mapping[str, TrialValue]
    state: str
    values: tuple[float, ...] = ()


def require_optuna() -> Any:
    """Optuna, silent about what it does. UserError where it is missing or too old."""
    try:
        import optuna  # optional, and takes a quarter of a second
    except ImportError as error:
        what, fix = f"needs Optuna: {error}", "pip install 'genbench[optuna]'"
        raise UserError("hydra/sweeper=optuna", what, fix=fix) from error
    if int(optuna.__version__.partition(".")[0]) < 5:
        what, fix = "needs Optuna 5", "pip install -U 'genbench[optuna]'"
        raise UserError("hydra/sweeper=optuna", what, optuna.__version__, fix)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """UserError where the journal is damaged."""
    try:
        yield
    except (ValueError, KeyError, OSError) as error:
        if isinstance(error, UserError):
            raise
        what = f"is damaged: {type(error).__name__}: {error}"
        fix = "bring back a copy of it, or choose another hydra.sweep.dir=FOLDER"
        raise UserError(str(file), what, fix=fix) from error


def _storage(file: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(file)))


def _random() -> "BaseSampler":
    """A sampler for studies in which nothing is chosen."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=0)


class Study:
    """The study of a search, in the one process that chooses its trials."""

    def __init__(self, folder: Path, space: Space, goals: Sequence[Goal], search: str) -> None:
        """Begin a study in this folder, or go on with the one that is there.

        `search` names how settings are chosen. UserError if the study there is another one.
        """
        optuna = require_optuna()
        self.file, self.space, self.search = folder / JOURNAL, space, search
        self.seed = int(space.fixed.get("seed", "0"))
        about = json.loads(json.dumps({"goals": as_json(goals), **space.described}))
        if self.file.exists():
            _mend(self.file)
        with reading(self.file):
            self.study = optuna.create_study(
                storage=_storage(self.file),
                sampler=_random(),
                study_name=STUDY_NAME,
                directions=[goal.direction for goal in goals],
                load_if_exists=True,
            )
            before = self.study.user_attrs.get(ABOUT)
            if before is None:
                self.study.set_user_attr(ABOUT, about)
        if before is not None:
            _require_same(before, about, folder)
        self.distributions = {one.name: _distribution(one) for one in space.dimensions}

    def trials(self) -> list[Trial]:
        """The trials that count, in the order in which their settings were chosen: a failed one
        that was repeated does not, nor one whose settings were not chosen when the search was
        killed.
        """
        found = self.study.get_trials(deepcopy=False)
        repeated = {one.user_attrs.get(REPEATS) for one in found}
        counted = [
            _trial(one)
            for one in found
            if one.number not in repeated and one.params.keys() == self.distributions.keys()
        ]
        return sorted(counted, key=lambda trial: trial.first)

    def repeat_failed(self) -> None:
        """Choose the settings of each failed trial once more."""
        for trial in self.trials():
            if trial.state == "failed":
                repeats = {REPEATS: trial.number, FIRST: trial.first}
                self.study.enqueue_trial(dict(trial.settings), repeats)
                self.study.ask(self.distributions)

    def ask(self) -> Trial:
        """A new trial."""
        number = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = _sampler(self.search, self.seed, number)
        return _trial(self.study.ask(self.distributions))

    def tell(self, number: int, state: str, values: Sequence[float] = ()) -> Trial:
        """Record how a trial ended; returns what it is now."""
        from optuna.trial import TrialState

        if state == "done":
            return _trial(self.study.tell(number, [*values]))
        ended = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
        return _trial(self.study.tell(number, state=ended))

    def importances(self) -> list[dict[str, float]]:
        """For each goal how much of it each varied setting explains, as shares that sum to 1.

        Empty where too few trials have ended, or all ended alike.
        """
        from optuna.importance import get_param_importances
        from optuna.trial import TrialState

        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        found = []
        for i, direction in enumerate(self.study.directions):
            values = {one.values[i] for one in done}
            if len(values) < FEWEST_FINISHED or len(self.distributions) < 2:
                return []
            sign = 1 if direction.name == "MINIMIZE" else -1
            with warnings.catch_warnings():  # of what the sign is for
                warnings.simplefilter("ignore")
                target = partial(_signed, place=i, sign=sign)
                found.append(get_param_importances(self.study, target=target))
        return found

    def best(self) -> list[Trial]:
        """The best trial or, of two goals, all that no other is better than in both."""
        if not any(trial.state == "done" for trial in self.trials()):
            return []
        if len(self.study.directions) == 1:
            return [_trial(self.study.best_trial)]
        return [_trial(one) for one in self.study.best_trials]


def _signed(trial: Any, place: int, sign: int) -> float:
    """A number to optimize of Optuna's trial, the lower the better."""
    return sign * float(trial.values[place])


def _mend(file: Path) -> None:
    """Remove a last line that a process did not finish, as it was killed or the disk was full."""
    from optuna.storages.journal import JournalFileSymlinkLock

    lock = JournalFileSymlinkLock(str(file))  # trials of an earlier command may still run
    lock.acquire()
    try:
        with open(opened(file, os.O_RDWR), "rb+") as journal:
            content = journal.read()
            journal.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _require_same(before: Mapping[str, Any], about: Mapping[str, Any], folder: Path) -> None:
    """UserError, about the first difference, if a folder holds the study of another search."""
    fix = "choose another hydra.sweep.dir=FOLDER, or repeat the command of the search there"
    pairs = [("optimize", before.get("goals"), about["goals"])]
    for kind in ("fixed", "varied"):
        there, here = before.get(kind, {}), about[kind]
        pairs += [(name, there.get(name), here.get(name)) for name in {**there, **here}]
    for name, old, new in pairs:
        if old != new:
            what = f"the search in {folder} has another, {json.dumps(old)}"
            raise UserError(name, what, json.dumps(new), fix)


def _trial(found: Any) -> Trial:
    """A trial in our words, of Optuna's `Trial` or `FrozenTrial`."""
    states = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
    state = getattr(found, "state", None)
    name = "running" if state is None else states.get(state.name, "running")
    values = tuple(getattr(found, "values", None) or ())
    first = found.user_attrs.get(FIRST, found.number)
    return Trial(found.number, first, dict(found.params), name, values)


def _distribution(dimension: Range | Choice) -> "BaseDistribution":
    from optuna import distributions

    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution(dimension.words)
    low, high, log = dimension.low, dimension.high, dimension.is_log
    if dimension.is_whole:
        step = int(dimension.step or 1)
        return distributions.IntDistribution(int(low), int(high), log=log, step=step)
    return distributions.FloatDistribution(low, high, log=log, step=dimension.step)


def _sampler(search: str, seed: int, number: int) -> "BaseSampler":
    """What chooses the settings of a trial: a function of the seed and the trial's number."""
    from optuna import samplers

    from genbench.utils.rng import fold  # imports torch

    folded = fold(seed, "search", number) % 2**32  # which is as much as numpy takes
    if search == "random":
        return samplers.RandomSampler(seed=folded)
    if search == "gp":
        return samplers.GPSampler(seed=folded, n_startup_trials=RANDOM_TRIALS)
    return samplers.TPESampler(seed=folded, n_startup_trials=RANDOM_TRIALS)


def pruner(name: str, epochs: int) -> "BasePruner":
    """What ends hopeless trials, of runs with so many epochs."""
    from optuna import pruners

    if name == "hyperband":
        return pruners.HyperbandPruner(1, epochs, HALVING)
    return pruners.MedianPruner(FEWEST_FINISHED, n_warmup_steps=math.ceil(WARM_UP * epochs))


def trial_of_worker(file: Path, number: int, pruner_name: str, epochs: int) -> "OptunaTrial":
    """A trial of the study in a journal, for the process that runs it for so many epochs."""
    from optuna.trial import Trial as OptunaTrial

    optuna = require_optuna()
    with reading(file):
        storage = _storage(file)
        chosen = pruner(pruner_name, epochs)
        study = optuna.load_study(
            study_name=STUDY_NAME, storage=storage, sampler=_random(), pruner=chosen
        )
        study_id = storage.get_study_id_from_name(STUDY_NAME)
        return OptunaTrial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))
