"""Which of the processes that torchrun started this one is. Nothing here imports torch."""

import os

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # torchrun sets all of them


def started_count() -> int:
    """How many processes torchrun started for one command; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in NEEDED) else 1


def started_rank() -> int:
    """The number of this process among all, from 0."""
    return int(os.environ["RANK"]) if started_count() > 1 else 0


def local_rank() -> int:
    """The number of this process among those on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", started_rank())) if started_count() > 1 else 0


def is_follower() -> bool:
    """Whether the first process decides what is run, and alone writes and prints."""
    return started_rank() > 0
