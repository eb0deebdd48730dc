"""The options of a sweep, `-m`: how its jobs run, and what a search among them looks for."""

from typing import Annotated, Literal

from pydantic import Field

from genbench.settings.base import Settings, settings_of
from genbench.settings.fields import AUTO, Auto

Names = Annotated[list[str], Field(min_length=1)]


class SearchOptions(Settings):
    """Of `genbench -m hydra/sweeper=optuna`, which chooses settings as it goes."""

    optimize: str | Names | None = Field(
        None,
        description=(
            "the number that a search optimizes, such as fid or validation.nll, or two as "
            "[rate,distortion]; for other sweepers the number that a job returns, where null is "
            "the term that training lowers, on validation data"
        ),
    )
    direction: str | Names | None = Field(
        None,
        description=(
            "minimize or maximize what a search optimizes, or one of them for each number; null "
            "is maximize for a measure of which higher is better, else minimize"
        ),
    )
    trials: Annotated[int, Field(ge=1, le=100_000)] = Field(
        40, description="runs of a search in all, with those of earlier commands in its folder"
    )
    pruner: Literal["auto", "median", "hyperband", "none"] = Field(
        "auto",
        description=(
            "how a search ends hopeless runs early; auto is median where the number is one that "
            "is logged as the run trains, else none"
        ),
    )
    search: Literal["tpe", "gp", "random"] = Field(
        "tpe",
        description=(
            "how a search chooses settings: tree-structured Parzen estimators, a Gaussian process, "
            "or at random"
        ),
    )
    trials_at_once: Annotated[int, Field(ge=1, le=1000), Auto] = Field(
        AUTO,
        description="runs that a search chooses at a time; auto is as many as run at once",
    )


class SweepOptions(SearchOptions):
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
    wait: bool = Field(
        True,
        description=(
            "wait for the jobs of a sweep; false submits them to submitit_slurm or submitit_local "
            "and returns, and the same command collects them later"
        ),
    )


SWEEP_OPTIONS = settings_of(SweepOptions)
SEARCH_OPTIONS = settings_of(SearchOptions)
