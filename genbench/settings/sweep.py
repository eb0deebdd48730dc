"""The options of a sweep, `-m`: how its jobs run, and what each of them returns."""

from typing import Annotated

from pydantic import Field

from genbench.settings.base import Settings, settings_of
from genbench.settings.fields import AUTO, Auto


class SweepOptions(Settings):
    """Of `genbench -m`. They do not change what a job is, so they belong to no run."""

    jobs: Annotated[int, Field(ge=1, le=1000), Auto] = Field(
        AUTO,
        description=(
            "jobs of a sweep that run at once; auto is one per GPU or, without GPUs, as many as "
            "the cores allow"
        ),
    )
    threads: Annotated[int, Field(ge=1, le=1000), Auto] = Field(
        AUTO,
        description=(
            "threads of each job of a sweep; auto is OMP_NUM_THREADS or, if that is not set, 1"
        ),
    )
    together: Annotated[bool, Auto] = Field(
        AUTO,
        description=(
            "train jobs that differ only in weights of the loss, learning rates or seeds as one "
            "batched model; auto does so where it pays: on a GPU, and on a CPU for small networks "
            "on data of few values"
        ),
    )
    optimize: str | None = Field(
        None,
        description=(
            "the number that a job returns to a sweeper that searches, such as fid or "
            "validation.nll; null is the term that training lowers, on validation data"
        ),
    )


SWEEP_OPTIONS = settings_of(SweepOptions)
