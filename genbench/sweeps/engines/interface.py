"""What a sweep asks of an engine: take lanes, say how each ended, and stop those that run."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from genbench.sweeps.engines.lane import Lane, LaneEnd
from genbench.sweeps.pool import Exit


@dataclass(frozen=True)
class Wanted:
    """What the user wants of an engine, for the sweep in a folder.

    `options` are the checked ones that all launchers have, `settings` all of `hydra.launcher`, and
    `devices` the values of `device` of all jobs. The functions say what this machine has.
    """

    folder: Path
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    devices: Collection[str]
    gpus_here: Callable[[], int]
    cores_here: Callable[[], int]

    @property
    def threads(self) -> int:
        """Threads of each job."""
        return int(self.options["threads"])

    def jobs(self, auto: int) -> int:
        """How many jobs run at once, where `auto` stands for this number."""
        jobs = self.options["jobs"]
        return jobs if isinstance(jobs, int) else auto

    @property
    def may_use_gpu(self) -> bool:
        """Whether a job would use a GPU if there were one."""
        return bool({*self.devices} - {"cpu"})


class Earlier(NamedTuple):
    """A lane that an earlier command submitted and that is not over, and its runs' folders."""

    ticket: Any
    names: frozenset[str]


class Engine(ABC):
    """Makes lanes in processes of its own, on this machine or others.

    `workers` processes run at once, each with a GPU if `gpus` is not 0. It takes `window` lanes at
    a time, and jobs are divided into `most_lanes` or, if that is None, a lane for each bundle.
    `pause` is how many seconds pass between two looks at it. The lanes of an engine that `outlives`
    the command go on when the command is stopped.
    """

    gpus: int
    workers: int
    window: int
    most_lanes: int | None = None
    pause: float = 0.1
    outlives: bool = False

    @abstractmethod
    def submit(self, lanes: Sequence[Lane], names: Sequence[frozenset[str]]) -> list[Any]:
        """Start or queue lanes, whose runs' folders have these names; returns a ticket for each."""

    @abstractmethod
    def end_of(self, ticket: Any) -> LaneEnd | Exit | None:
        """How a lane ended: by itself, or with its process. None if it is not over."""

    @abstractmethod
    def stop(self, tickets: Sequence[Any]) -> None:
        """Ask lanes to stop, as SIGTERM does. It is called again until they are over."""

    def earlier(self) -> list[Earlier]:
        """Lanes of earlier commands that are not over."""
        return []

    def close(self) -> None:
        """End the processes of the engine. No lane runs."""
        return
