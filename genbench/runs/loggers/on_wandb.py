"""Curves, settings and pictures in Weights & Biases, also offline; needs genbench[wandb]."""

import io
import os
from collections.abc import Mapping
from typing import Any, Literal

from PIL import Image

from genbench.runs.loggers.interface import Logger, tags
from genbench.utils.text import quoted

WANDB_DEFAULT = "genbench"  # unless WANDB_PROJECT says otherwise


class WandB(Logger):
    """A run of W&B for each run, found again by its id.

    Offline it cannot be asked what it has, so the folder of the run remembers.
    """

    name = "wandb"

    def open(self, epoch: int, mark: dict[str, Any]) -> int:
        import wandb  # takes a second

        self.library = wandb
        self.logged = wandb.init(
            project=os.environ.get("WANDB_PROJECT", WANDB_DEFAULT),
            id=self.run.key,
            name=self.run.title,
            config=dict(self.run.settings),
            dir=self.run.folder,
            mode=self._mode(),
            resume="allow",
            reinit="create_new",  # runs that train together are all open
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        self.reached = self.run.reached(self.name)
        return self.reached

    def _mode(self) -> Literal["offline"] | None:
        """Offline where there is no API key, for which W&B would ask on a terminal and wait.

        None leaves it to what the user has said to W&B.
        """
        if "WANDB_MODE" in os.environ or self.library.login(prompt=False, verify=False):
            return None
        place = quoted(self.run.folder / "wandb")
        self.echo(f"wandb has no API key and logs into {place}; `wandb login` makes one known")
        return "offline"

    def point(self, point: Mapping[str, Any]) -> None:
        epoch = point["epoch"]
        if epoch > self.reached:
            self.logged.log(tags(point), step=epoch, commit=True)
            self.run.take_note(self.name, epoch)
            self.reached = epoch

    def final(self, values: Mapping[str, Any], epoch: int) -> None:
        self.logged.summary.update({k: v for k, v in values.items() if v is not None})

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], epoch: int) -> None:
        image = Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
        self.logged.summary[f"pictures/{tag.partition('/')[0]}"] = self.library.Image(image)

    def close(self) -> None:
        self.logged.finish()
