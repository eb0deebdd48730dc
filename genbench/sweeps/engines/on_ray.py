"""Ray as an engine: each lane is a task of a cluster, or of a Ray that is started here."""

import os
from collections.abc import Sequence
from typing import Any

import ray

from genbench.sweeps.engines.interface import Engine, Wanted
from genbench.sweeps.engines.lane import Lane, LaneEnd
from genbench.sweeps.pool import Exit
from genbench.utils.errors import UserError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray sends nothing unless the user says so
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
STORE = 100 << 20  # bytes of Ray's object store, where Ray is started here; lanes are small


def run_lane(lane: Lane) -> LaneEnd:
    """Run a lane in a process of Ray."""
    return lane()


class RayEngine(Engine):
    """Tasks of Ray: each takes as many cores as a job has threads, and one GPU if there are any."""

    def __init__(self, wanted: Wanted) -> None:
        given = dict(wanted.settings.get("init") or {})
        is_local = given.get("address") in (None, "local")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if is_local:
            cores = max(wanted.cores_here(), wanted.jobs(auto=0) * wanted.threads)
            options |= {"address": "local", "include_dashboard": False, "num_cpus": cores}
            options |= {"object_store_memory": STORE}
        try:
            if not ray.is_initialized():
                ray.init(**{**options, **{k: v for k, v in given.items() if v is not None}})
        except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
            fix = "start Ray there, or leave out hydra.launcher.init.address"
            raise UserError("hydra.launcher.init", str(error), fix=fix) from error
        found = ray.cluster_resources()
        self.gpus = int(found.get("GPU", 0)) if wanted.may_use_gpu else 0
        self.workers = wanted.jobs(auto=self.gpus or max(1, int(found["CPU"]) // wanted.threads))
        self.window = self.workers
        resources = {"num_cpus": wanted.threads, "num_gpus": min(1, self.gpus)}
        remote = {"max_retries": 0, **resources, **(wanted.settings.get("remote") or {})}
        self.call = ray.remote(run_lane).options(**remote)

    def submit(self, lanes: Sequence[Lane], names: Sequence[frozenset[str]]) -> list[Any]:
        """Queue lanes as tasks."""
        return [self.call.remote(lane) for lane in lanes]

    def end_of(self, ticket: Any) -> LaneEnd | Exit | None:
        """How a task ended."""
        if not ray.wait([ticket], timeout=0)[0]:
            return None
        try:
            end: LaneEnd = ray.get(ticket)
            return end
        except ray.exceptions.TaskCancelledError:
            return Exit(1, "was cancelled")
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError):
            return Exit(1, "was killed")
        except ray.exceptions.OutOfMemoryError:
            return Exit(1, "was killed by Ray, as the memory was used up")

    def stop(self, tickets: Sequence[Any]) -> None:
        """Cancel tasks, which Ray does by what Ctrl-C does."""
        for ticket in tickets:
            ray.cancel(ticket, force=False)

    def close(self) -> None:
        """Leave Ray, and end it if it was started here."""
        ray.shutdown()
