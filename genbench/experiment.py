"""One experiment from its settings to its numbers: load the data, build the model, train, measure."""

import json
from pathlib import Path
from typing import NamedTuple

import torch

from .checkpoints import read_newest
from .data import Data, load, locate
from .errors import UserError
from .metrics import final
from .model import Model, can
from .run import Run
from .seeds import fold, generator
from .settings import Settings
from .train import fit, is_drawn


class Trained(NamedTuple):
    """A trained model with what it was trained on, and what was measured: the content of metrics.json.

    Arrays go in and tensors come out, on the CPU.
    """

    model: Model
    data: Data
    metrics: dict[str, dict]
    folder: Path

    def encode(self, x) -> torch.Tensor:
        """The codes of points x [n, *shape]."""
        return self._ask("encode", self._here(x).float())

    def decode(self, z) -> torch.Tensor:
        """The points [n, *shape] of codes z."""
        return self._ask("decode", self._here(z))

    def log_prob(self, x) -> torch.Tensor:
        """The log density [n] of points x [n, *shape], in nats."""
        return self._ask("log_prob", self._here(x).float())

    def sample(self, n: int = 64, seed: int = 0) -> torch.Tensor:
        """n draws [n, *shape]."""
        return self._ask("sample", n, generator(seed, "sample", device=self.model.device))

    def _ask(self, ability: str, *args) -> torch.Tensor:
        if not can(self.model, ability):
            has = [name for name in ("encode", "decode", "sample", "log_prob") if can(self.model, name)]
            raise UserError(self.folder.name, f"this model cannot {ability}", fix=f"it can {', '.join(has)}")
        with torch.no_grad():
            return getattr(self.model, ability)(*args).cpu()

    def _here(self, array) -> torch.Tensor:
        """Numbers as the model takes them: float32, or whole ones where they are (the codes of clusters)."""
        tensor = torch.as_tensor(array).to(self.model.device)
        return tensor.float() if tensor.is_floating_point() else tensor


def run(config: dict, folder: Path, resume: str = "", title: str = "") -> Trained | None:
    """Run (or resume) the experiment that `config` describes in `folder`.

    `resume` is the command that would go on with it, which the run tells its user; `title` is for its pictures.
    Returns None if the folder holds the finished run already. Raises UserError for whatever a user can mend.
    """
    s = Settings(config)
    with Run(folder, config, resume, title) as record:
        if record.done:
            record.say(f"{record.title} is done already: {folder}")
            return None
        device = pick_device(s.device)
        record.start()
        data = load(s.dataset, device)
        model = build(config, data)
        if s.get("latent_dim") == "auto":
            record.say(f"latent_dim=auto is {model.s.latent_dim} here")
        fitted = fit(model, data, record, s)
        learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
        cost = {"epochs": fitted.epochs, "kept_epoch": fitted.kept, "parameters": learnt}
        found = record.measured(final(model, data, s.batch_size, s.seed), cost)
        record.show(fitted.kept, model, data, drawn=is_drawn(fitted.kept, s))
        record.finish(found)
        return Trained(model, data, found, record.folder)


def load_run(config: dict, folder: Path, device: str) -> Trained:
    """The model of a finished run as it was measured. UserError if its checkpoints or numbers are lost."""
    data = load(config["dataset"], pick_device(device))
    model = build(config, data)
    content, _ = read_newest(folder, model.device)
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        metrics = None
    if content is None or metrics is None:
        raise UserError(str(folder), "holds no finished run", fix=f"genbench resume {folder}")
    model.load_state_dict(content["stopping"]["best"].get("weights", content["model"]))
    return Trained(model, data, metrics, folder)


def build(config: dict, data: Data) -> Model:
    """The model that the settings describe, for this data, on its device; its initial weights are a function of the seed."""
    made = locate(config["model"]["class"], "model.class")
    if not (isinstance(made, type) and issubclass(made, Model)):
        raise UserError("model.class", "is not a genbench Model", config["model"]["class"], "derive it from genbench.model.Model")
    s = Settings(config)
    if s.get("latent_dim") == "auto":
        s = Settings(s | {"latent_dim": min(made.usual_latent_dim, data.space.size)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(s.seed, "weights"))
        model = made(data.space, s)
    device = data.train.raw.device
    return (model.float() if device.type == "mps" else model).to(device)  # mps knows no double precision


def pick_device(name: str) -> torch.device:
    """The device by its name; `auto` is a GPU if there is one. UserError if this machine lacks it."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        has = f"{torch.cuda.device_count()} CUDA devices" if cuda else "no CUDA device"
        raise UserError("device", f"torch finds {has} on this machine", name, "device=auto")
    if device.type == "mps" and not mps:
        raise UserError("device", "torch finds no Apple GPU on this machine", name, "device=auto")
    return device
