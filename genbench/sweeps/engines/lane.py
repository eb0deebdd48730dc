"""The call that a process of an engine makes: jobs of a sweep, one bundle after another."""

import os
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from hydra import version
from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals

from genbench.config.compose import VERSION_BASE
from genbench.sweeps.hydra_jobs import Composer
from genbench.utils import signals


class Bundle(NamedTuple):
    """Jobs that are trained together: their places among all, and for each its overrides and
    number.
    """

    places: tuple[int, ...]
    overrides: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]


@dataclass
class LaneEnd:
    """How a lane ended. Most of it is in the files of the runs, too.

    `ended` has the arguments of `JobDisplay.ended` by the place of a job. `stopped` is the signal
    that asked the lane to stop, and `error` what a job should not have raised.
    """

    ended: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    stopped: int | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Lane:
    """Jobs that a process makes, one bundle after another. It may be made again: jobs that are done
    are skipped, and others go on from their checkpoints.

    `hydra` is the state of Hydra's singletons, such as the settings that are stored for composing.
    """

    composer: Composer
    hydra: Mapping[type, Any]
    bundles: tuple[Bundle, ...]
    environment: Mapping[str, str]

    @property
    def places(self) -> list[int]:
        """The places of its jobs among all."""
        return [place for bundle in self.bundles for place in bundle.places]

    def parted(self, taken: Container[int]) -> "Lane":
        """The lane with a bundle of its own for each of these jobs, which run elsewhere."""
        bundles: list[Bundle] = []
        for bundle in self.bundles:
            jobs = [*zip(*bundle, strict=True)]
            others = [job for job in jobs if job[0] not in taken]
            parts = [others, *([job] for job in jobs if job[0] in taken)]
            bundles += [Bundle(*zip(*part, strict=True)) for part in parts if part]
        return replace(self, bundles=tuple(bundles))

    def of(self, left: set[int]) -> "Lane":
        """The lane with those of its bundles that have one of these jobs; other jobs of a bundle
        are done, and end at once.
        """
        bundles = tuple(bundle for bundle in self.bundles if left & {*bundle.places})
        return replace(self, bundles=bundles)

    def __call__(self) -> LaneEnd:
        """Run the jobs until they are done or a signal asks to stop."""
        os.environ.update(self.environment)  # before torch is imported
        Singleton.set_state(self.hydra)  # a new process knows nothing of the main one
        version.setbase(VERSION_BASE)
        setup_globals()
        end = LaneEnd()
        try:
            with signals.listening():
                for bundle in self.bundles:
                    signals.check()
                    self._run(bundle, end)
        except signals.Interrupted as stopped:
            signals.forget()  # the process may take another lane
            end.stopped = stopped.signum
        return end

    def _run(self, bundle: Bundle, end: LaneEnd) -> None:
        def send(message: tuple[Any, ...]) -> None:
            place, name, *arguments = message
            if name == "ended":
                end.ended[bundle.places[place]] = tuple(arguments)

        try:
            for result in self.composer.compose(bundle.overrides, bundle.numbers)(send):
                _ = result.return_value  # raises what a job should not have raised
        except Exception as error:
            end.error = end.error or error
