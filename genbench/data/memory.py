"""Data that a user gives from Python: what a run records of them, and why no command loads them."""

from genbench.data.loading import points_digest
from genbench.data.types import RawDataset, Split
from genbench.settings.own_data import MemorySettings
from genbench.utils.errors import UserError

IN_MEMORY_NAME = "memory"  # the name of such data, as settings have it


def given_in_python(s: MemorySettings) -> RawDataset:
    """Raises UserError: such data are not in a file, so whoever needs them must give them again."""
    raise UserError(
        f"dataset={IN_MEMORY_NAME}",
        "this run learnt from data that were given in Python, which no file holds",
        fix='give them again: genbench.load(RUN, X, y), or genbench.fit(X, y, folder="RUN")',
    )


def given_digest(given: RawDataset) -> str:
    """The SHA-256 of all points and labels, in the order in which they were given."""
    splits = [Split(given.x, given.y, given.scale)]
    if given.test_x is not None:
        splits.append(Split(given.test_x, given.test_y, given.scale))
    return points_digest(splits)
