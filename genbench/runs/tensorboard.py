"""One TensorBoard event file per run, which a resumed run cuts back to its checkpoint and extends.

This is our own because torch's SummaryWriter starts a new file at every start and names it by the
second, so that points may be read twice or in the wrong order. Here every point is in one file,
once and in order, and a resumed run ends with the same bytes.
"""

import hashlib
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DataType
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.custom_scalar.layout_pb2 import Chart, Layout
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)

from genbench.runs.checksums import masked_crc32c
from genbench.utils.files import CHUNK, AppendOnlyFile, opened, set_aside, sync
from genbench.utils.signals import check

MOST_RECORD = 1 << 28  # bytes of a record; a large picture has some millions


class Events:
    """Appends scalars and pictures to an event file, a whole record at a time.

    Raises CannotWrite if there is no room.
    """

    def __init__(self, path: Path, mark: dict | None = None) -> None:
        """Continue the file at `path` after an earlier `mark`, or begin a new one without it.

        `resumed` says whether what the mark stands for was still there.
        """
        self.path, self.size, self.digest = path, 0, hashlib.sha256()
        self.file = AppendOnlyFile(path)
        if mark is not None:
            remaining = mark["bytes"]
            with open(opened(path), "rb") as file:
                while piece := file.read(min(remaining, CHUNK)):
                    check()
                    self.digest.update(piece)
                    remaining -= len(piece)
        self.resumed = mark is not None and mark["sha256"] == self.digest.hexdigest()
        if mark is not None and self.resumed:
            self.size = mark["bytes"]
        else:
            self.digest = hashlib.sha256()
            if mark is not None and path.stat().st_size:
                set_aside(path)
                self.file = AppendOnlyFile(path)
        self.file.truncate(self.size)
        if not self.resumed:
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def mark(self) -> dict:
        """How much was written so far, for `__init__` to continue after."""
        return {"bytes": self.size, "sha256": self.digest.hexdigest()}

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One point of each of some curves, by their tags, as one record."""
        self._add(step, *(Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()))

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], step: int) -> None:
        """A picture of this height and width, as the bytes of a PNG file."""
        image = Summary.Image(
            height=shape[0], width=shape[1], colorspace=3, encoded_image_string=png
        )
        self._add(step, Summary.Value(tag=tag, image=image))

    def pictures(self, tag: str) -> list[bytes]:
        """The pictures with this tag, in the order of their steps."""
        found = []
        for record in records(self.path):
            try:
                event = Event.FromString(record)
            except DecodeError:  # something that another program wrote
                continue
            found += [
                (event.step, v.image.encoded_image_string)
                for v in event.summary.value
                if v.tag == tag
            ]
        return [png for _, png in sorted(found, key=lambda pair: pair[0])]

    def hparams(self, settings: dict, run: str) -> None:
        """The settings as a row of the HParams tab.

        Only this record of a session is written, because the record of an experiment would hide
        the columns of other models.
        """
        start = SessionStartInfo(group_name=run, start_time_secs=time.time())
        for name, value in settings.items():
            field = (
                "bool_value"
                if isinstance(value, bool)
                else "number_value"
                if isinstance(value, (int, float))
                else "string_value"
            )
            setattr(start.hparams[name], field, str(value) if field == "string_value" else value)
        self._hparams(hparams.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))

    def ended(self) -> None:
        """Say in the HParams tab that the run is over."""
        end = SessionEndInfo(status=Status.STATUS_SUCCESS, end_time_secs=time.time())
        self._hparams(hparams.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))

    def _hparams(self, tag: str, content: HParamsPluginData) -> None:
        metadata = hparams.create_summary_metadata(content)
        self._add(0, Summary.Value(tag=tag, metadata=metadata, tensor=hparams.NULL_TENSOR))

    def layout(self, category: str, charts: dict[str, list[str]]) -> None:
        """Add charts to the custom scalars tab; `charts` has the tags of each by its title."""
        layout = Layout()
        layout.category.add(title=category).chart.extend(
            Chart(title=title, multiline={"tag": tags}) for title, tags in charts.items()
        )
        tensor = TensorProto(dtype=DataType.DT_STRING, string_val=[layout.SerializeToString()])
        tensor.tensor_shape.SetInParent()
        tag, metadata = custom_scalar.CONFIG_SUMMARY_TAG, custom_scalar.create_summary_metadata()
        self._add(0, Summary.Value(tag=tag, metadata=metadata, tensor=tensor))

    def sync(self) -> None:
        """Force everything onto the disk."""
        sync(self.path)

    def _add(self, step: int, *values: Summary.Value) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write(self, event: Event) -> None:
        content = event.SerializeToString()
        head = struct.pack("<Q", len(content))
        of_head, of_content = (struct.pack("<I", masked_crc32c(part)) for part in (head, content))
        record = head + of_head + content + of_content
        self.file.append(record)
        self.digest.update(record)
        self.size += len(record)


def records(path: Path) -> Iterator[bytes]:
    """The records of an event file up to the first that is cut short or has a damaged length.

    TensorBoard's own reader fails in a folder whose name is not UTF-8.
    """
    with open(opened(path), "rb") as file:
        while len(head := file.read(12)) == 12:
            check()
            length, checksum = struct.unpack("<QI", head)
            if checksum != masked_crc32c(head[:8]) or length > MOST_RECORD:
                return
            record = file.read(length)
            if len(record) < length or len(file.read(4)) < 4:
                return
            yield record
