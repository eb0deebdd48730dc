"""One TensorBoard event file per run, which a resumed run cuts back to its checkpoint and goes on writing.

torch's SummaryWriter starts a new file at every start and names it by the second, so that points could be read in the
wrong order or twice. Here every point is in one file, once, in order.
"""

import os
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Events:
    """Scalars and pictures by tag and step, appended to `path`."""

    def __init__(self, path: Path, size: int = 0):
        """Open `path`, forgetting all but its first `size` bytes."""
        self.file = open(path, "ab")  # noqa: SIM115 (open for as long as the run)
        self.file.truncate(min(size, os.path.getsize(path)))
        self.records = RecordWriter(self.file)
        if self.size == 0:
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    @property
    def size(self) -> int:
        """Bytes written so far."""
        self.file.flush()
        return os.path.getsize(self.file.name)

    def scalar(self, tag: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._add(Summary.Value(tag=tag, simple_value=value), step)

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], step: int) -> None:
        """A picture of this height and width, as the bytes of a PNG file."""
        image = Summary.Image(height=shape[0], width=shape[1], colorspace=3, encoded_image_string=png)
        self._add(Summary.Value(tag=tag, image=image), step)

    def sync(self) -> int:
        """Force everything onto the disk; returns the size."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.size

    def close(self) -> None:
        """Write what is left and close the file."""
        self.file.close()

    def _add(self, value: Summary.Value, step: int) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        self.records.write(event.SerializeToString())
