"""One experiment from its settings to its numbers: load the data, build the model, train, measure."""

from pathlib import Path

import torch

from .data import Data, load, locate
from .errors import UserError
from .metrics import final
from .model import Model
from .run import Run
from .seeds import fold
from .settings import Settings
from .train import fit, is_drawn


def run(config: dict, folder: Path, resume: str = "", title: str = "") -> dict[str, dict] | None:
    """Run (or resume) the experiment that `config` describes in `folder`; returns its final numbers.

    `resume` is the command that would go on with it, which the run tells its user; `title` is for its pictures.
    Returns None if the folder holds
    the finished run already. Raises UserError for whatever a user can mend.
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
        record.show(fitted.kept, model, data, drawn=is_drawn(fitted.kept, s))
        measured = final(model, data, s.batch_size, s.seed)
        learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
        return record.finish(measured, {"epochs": fitted.epochs, "kept_epoch": fitted.kept, "parameters": learnt})


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
