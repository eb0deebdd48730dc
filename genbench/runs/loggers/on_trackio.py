"""Curves, settings and pictures in Trackio, on this machine; needs genbench[trackio]."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from genbench.runs.loggers.interface import Logger, tags

TRACKIO_PROJECT = "genbench"
EPOCH_CURVE = "epoch"  # the curve by which it is known which points are there
FINAL_CURVE = "final/epochs"  # a number that only the final ones have


class Trackio(Logger):
    """A run of Trackio for each run, found again by the key that ends its name. Its store knows
    what it has.
    """

    name = "trackio"

    def open(self, epoch: int, mark: dict[str, Any]) -> int:
        import trackio  # takes a second
        from trackio.sqlite_storage import SQLiteStorage

        self.library = trackio
        name = self._known_name(SQLiteStorage.get_runs(TRACKIO_PROJECT))
        rows = SQLiteStorage.get_logs(TRACKIO_PROJECT, name)
        trackio.context_vars.current_run.set(None)  # runs that train together are all open
        with _silent():
            self.logged = trackio.init(
                TRACKIO_PROJECT,
                name=name,
                resume="allow",
                config={k: _simple(v) for k, v in self.run.settings.items()},
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        ends = [int(row[FINAL_CURVE]) for row in rows if FINAL_CURVE in row]
        self.ended_after = max(ends, default=-1)  # epochs; a run may be made longer
        self.reached = max((int(row[EPOCH_CURVE]) for row in rows if EPOCH_CURVE in row), default=0)
        return self.reached

    def _known_name(self, names: Sequence[str]) -> str:
        """The name of this run: that of the store if it has one, as the title of a run whose
        folder was moved may be another.
        """
        key = self.run.key[:8]
        known = [name for name in names if name.endswith(f" {key}")]
        return known[0] if known else f"{self.run.title} {key}"

    def point(self, point: Mapping[str, Any]) -> None:
        if point["epoch"] > self.reached:
            self.logged.log({EPOCH_CURVE: point["epoch"]} | tags(point), step=point["epoch"])

    def final(self, values: Mapping[str, Any], epoch: int) -> None:
        if values[FINAL_CURVE] > self.ended_after:
            known = {name: value for name, value in values.items() if value is not None}
            self.logged.log(known, step=epoch)
            self.ended_after = values[FINAL_CURVE]

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], epoch: int) -> None:
        if epoch > self.reached:
            image = Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
            name = tag.partition("/")[0]
            self.logged.log({f"pictures/{name}": self.library.Image(image)}, step=epoch)

    def close(self) -> None:
        with _silent():
            self.logged.finish()
        self.library.context_vars.current_run.set(None)  # else it is finished once more at exit


def _simple(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Hide what Trackio prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
