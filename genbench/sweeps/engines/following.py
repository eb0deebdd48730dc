"""Gives the jobs of a sweep to an engine, and follows their runs by the files of these.

Nothing but these files says how a run went, so a later command knows as much as the first one.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.sweeps.at_once import JobsAtOnce
from genbench.sweeps.engines.interface import Engine
from genbench.sweeps.engines.lane import Lane, LaneEnd
from genbench.sweeps.engines.run_files import RunFiles
from genbench.sweeps.pool import Exit, Message
from genbench.utils import signals

SLICE = 0.1  # seconds at most until a signal is noticed
AGAIN = 1.0  # seconds after which lanes that still run are asked again to stop


@dataclass
class Running:
    """A lane that an engine has, and the files of the runs of its jobs, in their order."""

    ticket: Any
    files: list[RunFiles]


class Following:
    """The jobs of a launch on an engine.

    `whole` is the lane of all of them, `folders` are those of their runs, and `shown` shows them.
    """

    def __init__(
        self, engine: Engine, shown: JobsAtOnce, whole: Lane, folders: Sequence[Path]
    ) -> None:
        self.engine, self.shown, self.whole, self.folders = engine, shown, whole, folders
        self.waiting: deque[list[int]] = deque()  # the places of the jobs of each lane
        self.running: dict[int, Running] = {}  # by the number of the call
        self.is_stopping = False

    def take_over(self) -> set[int]:
        """Follow the lanes of earlier commands that are not over; returns the places of their jobs,
        which must not be submitted again.
        """
        place_of = {folder.name: place for place, folder in enumerate(self.folders)}
        taken: set[int] = set()
        for earlier in self.engine.earlier():
            places = sorted({place_of[name] for name in earlier.names & place_of.keys()} - taken)
            if places:
                self._follow(earlier.ticket, places, may_run=True)
                taken |= {*places}
        return taken

    def submit(self, lanes: Sequence[list[int]]) -> None:
        """Submit the lanes of jobs at these places, as many at a time as the engine takes."""
        self.waiting.extend(lanes)
        chosen = [
            self.waiting.popleft()
            for _ in range(min(len(self.waiting), self.engine.window - len(self.running)))
        ]
        if chosen:
            names = [frozenset(self.folders[place].name for place in lane) for lane in chosen]
            # Looked at before the lane may begin, so that nothing of it is missed.
            calls = [self._follow(None, places, may_run=False) for places in chosen]
            try:
                tickets = self.engine.submit([self.whole.of({*lane}) for lane in chosen], names)
            except BaseException:
                for call in calls:  # nothing runs of it that could be stopped
                    del self.running[call]
                raise
            for call, ticket in zip(calls, tickets, strict=True):
                self.running[call].ticket = ticket

    def wait(self) -> None:
        """Wait until all jobs are over. Interrupted if a signal asks to stop, once they have."""
        with signals.listening():
            try:
                while self.waiting or self.running:
                    self.submit([])
                    self._look()
                    self._sleep(self.engine.pause)
            except BaseException:
                if not self.engine.outlives:
                    self._stop()
                raise

    def _follow(self, ticket: Any, places: list[int], may_run: bool) -> int:
        """Follow the files of jobs; returns the number of their call."""
        self.shown.calls.append(places)
        call = len(self.shown.calls) - 1
        files = [RunFiles(self.folders[place], may_run) for place in places]
        self.running[call] = Running(ticket, files)
        return call

    def _sleep(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not self.is_stopping:
            signals.check()
            left = ends - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, SLICE))

    def _stop(self) -> None:
        """Begin no further lane, and ask those that run to stop until they have."""
        self.is_stopping = True
        self.waiting.clear()
        asked = 0.0
        while self.running:
            if time.monotonic() > asked + AGAIN:
                asked = time.monotonic()
                self.engine.stop([lane.ticket for lane in self.running.values()])
            self._look()
            time.sleep(SLICE)

    def _look(self) -> None:
        """Show what is new in the files of the runs, and what has ended."""
        for call, lane in [*self.running.items()]:
            end = self.engine.end_of(lane.ticket)  # before the files, which are final then
            self._read(call, lane, is_over=end is not None)
            if end is not None:
                del self.running[call]
                self._note_end(call, end)

    def _read(self, call: int, lane: Running, is_over: bool) -> None:
        """Read the files of jobs that are not over. While a lane runs, its jobs begin in turn."""
        for index, (place, files) in enumerate(zip(self.shown.calls[call], lane.files)):
            if place in self.shown.over:
                continue
            for message in files.news():
                self.shown.receive(Message(call, (index, *message)))
            if not (files.has_begun or is_over):
                break

    def _note_end(self, call: int, end: LaneEnd | Exit) -> None:
        """Show how the jobs of a lane ended. Those that its process has lost go on in another."""
        if isinstance(end, LaneEnd):
            for place in self.shown.left(call):
                if place in end.ended and end.ended[place][0] != "interrupted":
                    self._note_ended(call, place, *end.ended[place])
            if end.error is not None:
                raise end.error
            how = "" if end.stopped is not None else "ended without a result"
            end = Exit(-(end.stopped or 0), how)
        left = self.shown.left(call)
        if self.is_stopping:
            for place in left:
                if place in self.shown.displays:
                    self._note_ended(call, place, "interrupted", [], None)
        elif left:
            self.shown.receive(Message(call, end))
            if left := self.shown.left(call):
                self.waiting.append(left)

    def _note_ended(self, call: int, place: int, *arguments: Any) -> None:
        index = self.shown.calls[call].index(place)
        if place not in self.shown.displays:
            self.shown.receive(Message(call, (index, "begin")))
        self.shown.receive(Message(call, (index, "ended", *arguments)))
