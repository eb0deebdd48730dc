"""Processes of this machine that outlive the command as an engine, by submitit."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import submitit

from genbench.sweeps.engines.interface import Earlier, Wanted
from genbench.sweeps.engines.lane import LaneEnd
from genbench.sweeps.engines.on_submitit import RequeuedLane, SubmititEngine, Ticket
from genbench.sweeps.pool import Exit, gpu_environments


class LocalEngine(SubmititEngine):
    """Processes of this machine that outlive the command if it does not wait for them."""

    name, job = "local", submitit.LocalJob

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.gpus = wanted.gpus_here()
        self.workers = wanted.jobs(auto=self.gpus or max(1, wanted.cores_here() // wanted.threads))
        self.most_lanes = self.workers
        if wanted.settings.get("wait", True):
            self.window = self.workers
        self.environments = gpu_environments(self.gpus, self.workers)
        self.lanes_at: Counter[int] = Counter()  # of these environments
        limit = int(wanted.settings.get("max_num_timeout", 100))
        self.executor = submitit.LocalExecutor(self.record.folder, max_num_timeout=limit)
        # All GPUs are visible to submitit, and a lane chooses its own.
        timing = {key: wanted.settings[key] for key in ("timeout_min", "signal_delay_s")}
        self.executor.update_parameters(gpus_per_node=self.gpus, **timing)

    def _places(self, count: int) -> list[int]:
        places = []
        for _ in range(count):
            places.append(min(range(self.workers), key=lambda place: self.lanes_at[place]))
            self.lanes_at[places[-1]] += 1
        return places

    def _submitted(self, calls: Sequence[RequeuedLane]) -> Sequence[Any]:
        # Ctrl-C is for this process, which asks the others to stop in its own way.
        with _detached():
            return super()._submitted(calls)

    def earlier(self) -> list[Earlier]:
        """Processes that still run."""
        found = super().earlier()
        self.lanes_at.update(one.ticket.place for one in found)
        return found

    def end_of(self, ticket: Ticket) -> LaneEnd | Exit | None:
        """How a process ended. Its place is free then."""
        end = super().end_of(ticket)
        if end is not None:
            self.lanes_at[ticket.place] -= 1
            # Another process may get its number.
            ticket.job.paths.result_pickle.unlink(missing_ok=True)
        return end

    def _is_over(self, ticket: Ticket) -> bool:
        if ticket.is_own:
            return bool(ticket.job.done())
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
