"""Joining the processes of one run, and leaving them: an error or a signal in one ends all.

What ended a process is published in torch's store, so that the others, whose next exchange fails,
know the cause. The first process reports it; another one does so only where the first cannot.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from genbench.utils import signals, torchrun
from genbench.utils.errors import ReportedError, UserError

EXCHANGE = timedelta(hours=6)  # to wait for a process that measures, draws or prepares data
FIRST_REPORTS = 10.0  # seconds for the first process to report the error of another
CAUSE_COMES = 5.0  # seconds for the cause to arrive after an exchange has failed
FIRST_SAVES = 600.0  # seconds for the first process to write a checkpoint

Exchanged = TypeVar("Exchanged")


class OtherFailed(UserError):
    """Another process of the run has failed, for the reason that this error repeats."""


class OtherStopped(BaseException):
    """Another process of the run was asked to stop while this one waited for it.

    It may be raised within a step, where no checkpoint can be made.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


_messages: dist.Store | None = None  # what the processes tell one another as they end
_runs = itertools.count()  # of this process, whose messages are kept apart


def process_count() -> int:
    """How many processes this run has."""
    return 1 if _messages is None else dist.get_world_size()


def process_rank() -> int:
    """The number of this process in the run, from 0."""
    return 0 if _messages is None else dist.get_rank()


def is_first() -> bool:
    """Whether this process writes and prints; a run of one process has no other."""
    return process_rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """The processes that torchrun started work on one run in this block. Alone, it does nothing.

    An error in one of them ends all: the first one raises it, whoever had it.
    """
    if torchrun.started_count() == 1 or _messages is not None:
        yield
        return
    _join()
    try:
        yield
    except BaseException as error:
        raise _raised_here(error, _leave(_published(error))) from error
    else:
        _leave("")


def _join() -> None:
    global _messages
    with signals.dying():  # nothing is lost yet, and the other processes may never come
        common, rank, count = next(dist.rendezvous("env://", timeout=EXCHANGE))
        store = dist.PrefixStore(f"genbench {next(_runs)}", common)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=EXCHANGE)
    _messages = dist.PrefixStore("messages", store)


def _published(error: BaseException) -> str:
    """The error as JSON for the other processes."""
    if isinstance(error, (signals.Interrupted, OtherStopped)):
        return json.dumps({"signum": error.signum})
    if isinstance(error, UserError):
        return json.dumps({"key": error.key, "line": str(error), "code": error.code})
    line = f"unexpected: {type(error).__name__}: {error}"
    return json.dumps({"key": "unexpected", "line": line, "code": 1})


def _leave(message: str) -> dist.Store:
    """Publish why this process ends, unless another one has done so, and end all exchanges."""
    global _messages
    assert _messages is not None
    messages, _messages = _messages, None
    with suppress(RuntimeError):  # the store ends with the process that holds it
        if message:
            messages.compare_set("cause", "", message)
        if not torchrun.is_follower():
            messages.set("first has ended", message or "done")
    dist.destroy_process_group()
    return messages


def _raised_here(error: BaseException, messages: dist.Store) -> BaseException:
    """What ends this process: an error that the first process reports is silent in the others."""
    if isinstance(error, OtherStopped):
        error = signals.Interrupted(error.signum)
    if not torchrun.is_follower():
        return error
    if isinstance(error, signals.Interrupted):
        # torchrun kills the others soon after one has ended.
        _wait(messages, "first has ended", FIRST_SAVES)
    elif isinstance(error, OtherFailed) or _wait(messages, "first has ended", FIRST_REPORTS):
        return ReportedError("run", str(error), code=getattr(error, "code", 1))
    return error


def _wait(messages: dist.Store, key: str, seconds: float) -> str:
    """The message under this key, once it is there; empty if it does not come in time."""
    end = time.monotonic() + seconds
    with suppress(RuntimeError):
        while time.monotonic() < end:
            if messages.check([key]):
                return messages.get(key).decode()
            time.sleep(0.05)
    return ""


def exchange(call: Callable[[], Exchanged]) -> Exchanged:
    """The result of a call that waits for the other processes.

    OtherFailed if one of them has failed, OtherStopped if one was asked to stop.
    """
    try:
        return call()
    except RuntimeError as error:
        assert _messages is not None
        text = "" if signals.asked() else _wait(_messages, "cause", CAUSE_COMES)
        cause = json.loads(text or "{}")
        if signum := signals.asked() or cause.get("signum"):
            raise OtherStopped(signum) from error
        what, fix = "another process of this run was killed", "look at the log of its machine"
        if not cause:
            raise OtherFailed("torchrun", what, fix=fix, code=1) from error
        line = cause["line"].removeprefix(f"{cause['key']}: ")
        raise OtherFailed(cause["key"], line, code=cause["code"]) from error
