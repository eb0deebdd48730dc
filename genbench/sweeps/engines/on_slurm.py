"""Jobs of Slurm as an engine: an array of them, by submitit."""

import time
from collections.abc import Sequence

import submitit
from submitit.slurm.slurm import SlurmInfoWatcher

from genbench.sweeps.engines.interface import Wanted
from genbench.sweeps.engines.on_submitit import RequeuedLane, SubmititEngine, Ticket
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
OVER = (  # states in which Slurm's accounting leaves a job that does not go on
    *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("BOOT_FAIL", "DEADLINE", "REVOKED"),
)
PARAMETERS = {  # parameters that all of submitit's executors have
    *("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node"),
    *("tasks_per_node", "stderr_to_stdout"),
}


class SlurmStates(SlurmInfoWatcher):
    """Asks Slurm for the states of all jobs at once. submitit takes those that it does not know,
    such as SUSPENDED, for the end of a job.
    """

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Whether Slurm says that a job is over."""
        return self.get_state(job_id, mode=mode).upper().startswith(OVER)


class SlurmJob(submitit.SlurmJob):
    """A job of Slurm."""

    watcher = SlurmStates(delay_s=60)


class SlurmEngine(SubmititEngine):
    """Jobs of Slurm, in one array: `jobs` run at once, each with one GPU unless all use the CPU."""

    name, job, pause, outlives = "slurm", SlurmJob, 2.0, True
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

    def _submitted(self, calls: Sequence[RequeuedLane]) -> Sequence[SlurmJob]:
        return [SlurmJob(self.record.folder, job.job_id) for job in super()._submitted(calls)]

    def _is_over(self, ticket: Ticket) -> bool:
        if ticket.job.done():
            return True
        is_unknown = ticket.job.state == "UNKNOWN"
        return is_unknown and time.time() > ticket.time + FORGOTTEN

    def stop(self, tickets: Sequence[Ticket]) -> None:
        """Cancel jobs. Slurm sends SIGTERM first."""
        for ticket in tickets:
            ticket.job.cancel(check=False)

    def _lost(self, ticket: Ticket) -> str:
        state = ticket.job.state
        return f"ended as {state}, see {ticket.job.paths.stderr}"
