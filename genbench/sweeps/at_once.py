"""Jobs that run at the same time: what they show, and what becomes of those that are killed."""

import math
import signal
from collections import Counter
from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus

from genbench.sweeps.display import JobTable, TabledJobDisplay
from genbench.sweeps.job import JobTask
from genbench.sweeps.pool import TRIES, Exit, Message
from genbench.utils.errors import UserError


class JobsAtOnce:
    """What the jobs of several calls show, whoever makes the calls.

    `overrides` are those of each job, `bundles` lists the places of the jobs that are trained
    together, and jobs are numbered from `first`. `receive` takes what calls send, or what their
    files say. `calls` lists the places of the jobs of each call.
    """

    def __init__(
        self,
        task: JobTask,
        table: JobTable,
        overrides: Sequence[Sequence[str]],
        bundles: Sequence[Sequence[int]],
        first: int,
    ) -> None:
        self.task, self.table, self.overrides, self.first = task, table, overrides, first
        self.joint = {i for bundle in bundles if len(bundle) > 1 for i in bundle}
        self.calls = [*bundles]
        self.displays: dict[int, TabledJobDisplay] = {}
        self.deaths: Counter[int] = Counter()  # of the processes of each job
        self.over: set[int] = set()  # jobs

    def receive(self, message: Message) -> None:
        """Show what a job sent, and note in the summary that it begins or has ended."""
        call, content = message
        if isinstance(content, Exit):
            return self._note_exit(call, content)
        place, name, *arguments = content
        i = self.calls[call][place]
        if i in self.over:  # it was done before its process was killed and started anew
            return
        if name == "begin":
            self.displays[i] = self._begun(i)
        getattr(self.displays[i], name)(*arguments)
        if name == "ended":
            self.over.add(i)
            state, _, failure = arguments
            if state != "interrupted" and self.task.watcher is not None:
                self.task.watcher.ended(self.first + i, failure)

    def left(self, call: int) -> list[int]:
        """The jobs of a call that are not over."""
        return [i for i in self.calls[call] if i not in self.over]

    def _begun(self, i: int) -> TabledJobDisplay:
        """The display of a job that begins."""
        display = self.task.tabled(self.table, self.first + i, " ".join(self.overrides[i]))
        if self.task.watcher is not None:
            display.known = self.task.watcher.started(self.first + i)
        return display

    def _note_exit(self, call: int, exit_: Exit) -> None:
        """Say how the process of a call ended. The jobs that it ran go on in another, once."""
        left = self.left(call)
        hit = [i for i in left if i in self.displays] or left
        for i in hit:
            self.deaths[i] += 1
            if i not in self.displays:
                self.displays[i] = self._begun(i)
                self.displays[i].begin()
            if self.deaths[i] < TRIES:
                self.displays[i].close()
                note = f"its process {exit_}; it goes on in another one"
                self.displays[i].note("restarted", note)
            else:
                self._give_up(i, exit_)

    def _give_up(self, i: int, exit_: Exit) -> None:
        """Say and note that a job was killed twice."""
        self.over.add(i)
        fix = "see the end of its run.log for what it did last, then repeat the command"
        if i in self.joint:
            fix = "repeat the command with together=false, which trains each job alone"
        elif exit_.code == -signal.SIGKILL:
            fix = "if the memory was used up, repeat the command with fewer jobs=N at once"
        display = self.displays[i]
        what = f"{exit_}, also when the job was tried again"
        failure = UserError(f"process of {display.number}", what, fix=fix, code=1)
        display.ended("failed", failure=failure)
        if self.task.watcher is not None:
            self.task.watcher.killed(self.first + i, failure)


def returned(overrides: Sequence[str], objective: float = math.nan) -> JobReturn:
    """What a job returns whose own return value is not there; by default, as failures do."""
    return JobReturn([*overrides], status=JobStatus.COMPLETED, _return_value=objective)
