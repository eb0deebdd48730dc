"""submitit as an engine: jobs of Slurm, in arrays, or processes of this machine.

The lanes outlive the command, and `Submissions` has them on record. Before a time limit, Slurm
sends the signal that submitit listens to. The job writes a checkpoint first, and submitit puts it
back into the queue.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import submitit

from genbench.sweeps.engines.interface import Earlier, Engine, Wanted
from genbench.sweeps.engines.lane import Lane, LaneEnd
from genbench.sweeps.engines.submissions import Submissions
from genbench.sweeps.pool import Exit, gpu_environments
from genbench.utils import signals
from genbench.utils.errors import UserError

LARGEST_ARRAY = 1000  # tasks; Slurm refuses more than its MaxArraySize, by default 1001
FORGOTTEN = 3600.0  # seconds after which a job that Slurm's accounting does not know is over
NO_PARAMETERS = (
    "_target_",
    "jobs",
    "threads",
    "together",
    "wait",
    "max_num_timeout",
)  # no sbatch options
PARAMETERS = {  # parameters that all of submitit's executors have
    *("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node"),
    *("tasks_per_node", "stderr_to_stdout"),
}


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
    """A job of submitit, which this command has submitted or an earlier one."""

    job: Any
    is_own: bool


class SubmititEngine(Engine):
    """What both kinds of submitit's jobs have in common."""

    name: str
    executor: Any

    def __init__(self, wanted: Wanted) -> None:
        self.wanted, self.record = wanted, Submissions(wanted.folder)
        self.window = 1_000_000

    def submit(self, lanes: Sequence[Lane], names: Sequence[frozenset[str]]) -> list[Any]:
        """Submit lanes, and put them on record."""
        jobs = self._submitted([RequeuedLane(lane) for lane in lanes])
        self.record.add(self.name, [job.job_id for job in jobs], names)
        return [Ticket(job, is_own=True) for job in jobs]

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
        for pickled in (paths.submitted_pickle, paths.result_pickle):
            pickled.unlink(missing_ok=True)
        return end

    def _is_over(self, ticket: Ticket) -> bool:
        return bool(ticket.job.done())

    def _lost(self, ticket: Ticket) -> str:
        return f"was killed, see {ticket.job.paths.stderr}"


class SlurmEngine(SubmititEngine):
    """Jobs of Slurm, in one array: `jobs` run at once, each with one GPU unless all use the CPU."""

    name, pause, outlives = "slurm", 2.0, True
    most_lanes = LARGEST_ARRAY

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        settings = {key: value for key, value in wanted.settings.items() if value is not None}
        asked = settings.get("gpus_per_node", "auto")
        self.gpus = int(wanted.may_use_gpu) if asked == "auto" else int(asked)
        self.workers = wanted.jobs(auto=100)
        settings |= {"array_parallelism": self.workers, "gpus_per_node": self.gpus or None}
        if settings.get("cpus_per_task") == "auto":
            settings["cpus_per_task"] = wanted.threads
        limit = {"slurm_max_num_timeout": settings.get("max_num_timeout", 100)}
        parameters = {
            key if key in PARAMETERS else f"slurm_{key}": value
            for key, value in settings.items()
            if key not in NO_PARAMETERS and value is not None
        }
        try:
            self.executor = submitit.AutoExecutor(self.record.folder, cluster="slurm", **limit)
            self.executor.update_parameters(**parameters)
        except (RuntimeError, NameError, ValueError, AssertionError) as error:
            what = str(error).splitlines()[0]
            fix = "start it where sbatch and srun are, with settings that 'sbatch --help' knows"
            raise UserError("hydra/launcher=submitit_slurm", what, fix=fix) from error

    def earlier(self) -> list[Earlier]:
        """Jobs that are queued or running."""
        found = []
        for submission in self.record.of(self.name):
            job: submitit.Job[LaneEnd] = submitit.SlurmJob(self.record.folder, submission.id)
            is_known = job.state != "UNKNOWN" or time.time() < submission.time + FORGOTTEN
            if is_known and not job.done():
                found.append(Earlier(Ticket(job, is_own=False), submission.runs))
        return found

    def stop(self, tickets: Sequence[Ticket]) -> None:
        """Cancel jobs. Slurm sends SIGTERM first."""
        for ticket in tickets:
            ticket.job.cancel(check=False)

    def _lost(self, ticket: Ticket) -> str:
        state = ticket.job.state
        return f"ended as {state}, see {ticket.job.paths.stderr}"


class LocalEngine(SubmititEngine):
    """Processes of this machine that outlive the command if it does not wait for them."""

    name = "local"

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.gpus = wanted.gpus_here()
        self.workers = wanted.jobs(auto=self.gpus or max(1, wanted.cores_here() // wanted.threads))
        self.most_lanes = self.workers
        self.environments = gpu_environments(self.gpus, self.workers)
        limit = int(wanted.settings.get("max_num_timeout", 100))
        self.executor = submitit.LocalExecutor(self.record.folder, max_num_timeout=limit)
        # All GPUs are visible to submitit, and a lane chooses its own.
        timing = {key: wanted.settings[key] for key in ("timeout_min", "signal_delay_s")}
        self.executor.update_parameters(gpus_per_node=self.gpus, **timing)

    def _submitted(self, calls: Sequence[RequeuedLane]) -> Sequence[Any]:
        placed = [
            replace(call, lane=replace(call.lane, environment=self.environments[i % self.workers]))
            for i, call in enumerate(calls)
        ]
        # Ctrl-C is for this process, which asks the others to stop in its own way.
        with _detached():
            return super()._submitted(placed)

    def earlier(self) -> list[Earlier]:
        """Processes that still run."""
        return [
            Earlier(Ticket(submitit.LocalJob(self.record.folder, one.id), False), one.runs)
            for one in self.record.of(self.name)
            if self._is_running(one.id)
        ]

    def _is_over(self, ticket: Ticket) -> bool:
        if ticket.is_own:
            return super()._is_over(ticket)
        return not self._is_running(ticket.job.job_id)

    def _is_running(self, id_: str) -> bool:
        """Whether a process is the one with this id that submitit has started for this sweep."""
        words = command_of(int(id_))
        return "submitit" in words and str(self.record.folder.absolute()) in words

    def stop(self, tickets: Sequence[Ticket]) -> None:
        """Send SIGTERM, which submitit passes on."""
        for ticket in tickets:
            if self._is_running(ticket.job.job_id):
                with suppress(OSError):
                    os.kill(int(ticket.job.job_id), signal.SIGTERM)


def command_of(process: int) -> str:
    """The command line of a process; empty if there is no such process."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    with suppress(OSError):  # where there is no /proc
        asked = ["ps", "-p", str(process), "-o", "args="]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return ""


@contextmanager
def _detached() -> Iterator[None]:
    """New processes ignore Ctrl-C until they say otherwise, and do not hold the output open, for
    which a pipe would wait.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.flush()
    copies = [os.dup(stream) for stream in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        yield
    finally:
        for stream, copy in enumerate(copies, 1):
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)
        signal.signal(signal.SIGINT, before)
