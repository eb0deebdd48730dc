"""submitit as an engine: jobs of Slurm, in arrays, or processes of this machine.

The lanes outlive the command, and `Submissions` has them on record. Before a time limit, Slurm
sends the signal that submitit listens to. The job writes a checkpoint first, and submitit puts it
back into the queue.
"""

import signal
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import submitit

from genbench.sweeps.engines.interface import Earlier, Engine, Wanted
from genbench.sweeps.engines.lane import Lane, LaneEnd
from genbench.sweeps.engines.submissions import Submission, Submissions
from genbench.sweeps.pool import Exit
from genbench.utils import signals


@dataclass(frozen=True)
class RequeuedLane:
    """A lane that submitit calls in a process of its own, and puts back into the queue."""

    lane: Lane

    def __call__(self) -> LaneEnd:
        """Run the lane. If submitit's signal stops it, its checkpoint is written, and it goes back
        into the queue.

        Slurm sends SIGTERM before it kills a job, to preempt it or because of `scancel`. The job
        has its checkpoint then, and waits for what comes: if it ended by itself, it would count as
        done, and Slurm would not start it again.
        """
        name = f"SIG{submitit.JobEnvironment.USR_SIG}"
        warning = signal.Signals[name]
        requeue = signal.getsignal(warning)
        signal.signal(warning, signals.ask)
        end = self.lane()
        signal.signal(warning, requeue)
        if end.stopped == warning:
            assert callable(requeue)  # submitit has set it
            requeue(warning, None)
        if end.stopped == signal.SIGTERM and submitit.JobEnvironment().cluster == "slurm":
            time.sleep(600)
        return end

    def checkpoint(self) -> Any:
        """What submitit submits anew: the same, as the checkpoints are in the folders of the
        runs.
        """
        return submitit.helpers.DelayedSubmission(self)


@dataclass(frozen=True)
class Ticket:
    """A job of submitit, which this command has submitted or an earlier one, its place among those
    that run at once, and when it was submitted.
    """

    job: Any
    is_own: bool
    place: int
    time: float


class SubmititEngine(Engine):
    """What both kinds of submitit's jobs have in common."""

    name: str
    job: type[Any]  # of submitit
    executor: Any

    def __init__(self, wanted: Wanted) -> None:
        self.record = Submissions(wanted.folder)
        self.window = 1_000_000
        self.environments: list[Mapping[str, str]] = [{}]  # of lanes, by their place

    def submit(self, lanes: Sequence[Lane], names: Sequence[frozenset[str]]) -> list[Any]:
        """Submit lanes, and put them on record."""
        places = self._places(len(lanes))
        calls = [
            RequeuedLane(replace(lane, environment=self.environments[place]))
            for lane, place in zip(lanes, places, strict=True)
        ]
        jobs, now = self._submitted(calls), time.time()
        self.record.add(
            [
                Submission(self.name, job.job_id, now, place, runs)
                for job, place, runs in zip(jobs, places, names, strict=True)
            ]
        )
        return [Ticket(job, True, place, now) for job, place in zip(jobs, places, strict=True)]

    def earlier(self) -> list[Earlier]:
        """Jobs of earlier commands that are queued or running."""
        known = [
            (Ticket(self.job(self.record.folder, one.id), False, one.place, one.time), one.runs)
            for one in self.record.of(self.name)
        ]
        return [Earlier(ticket, runs) for ticket, runs in known if not self._is_over(ticket)]

    def _places(self, count: int) -> list[int]:
        """The places of so many new lanes."""
        return [0] * count

    def _submitted(self, calls: Sequence[RequeuedLane]) -> Sequence[Any]:
        jobs: Sequence[Any] = self.executor.submit_array(calls)
        return jobs

    def end_of(self, ticket: Ticket) -> LaneEnd | Exit | None:
        """How a job ended. The result of one that an earlier command submitted is not read, as a
        sweep's folder may be somebody else's, and reading a pickle runs code.
        """
        if not self._is_over(ticket):
            return None
        paths = ticket.job.paths
        if not paths.result_pickle.exists():
            return Exit(1, self._lost(ticket))
        if not ticket.is_own:
            return LaneEnd()
        try:
            end: LaneEnd = ticket.job.result()
        except submitit.core.utils.UncompletedJobError as error:
            return Exit(1, f"failed: {str(error).strip().splitlines()[-1]}")
        paths.submitted_pickle.unlink(missing_ok=True)
        return end

    @abstractmethod
    def _is_over(self, ticket: Ticket) -> bool:
        """Whether a job has ended, or its process has."""

    def _lost(self, ticket: Ticket) -> str:
        return f"was killed, see {ticket.job.paths.stderr}"
