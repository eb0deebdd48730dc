"""What settings are called: dotted names, the names that others use, and the nearest one to a misspelt name."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import yaml

FIXED = {
    "model.name",
    "model.class",
    "dataset.name",
    "dataset.loader",
    "dataset.kind",
}  # set by a YAML file, not by a user


class Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as it is to Hydra."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
)


class Settings(dict):
    """A model's or dataset's settings, read as attributes; `lambda`, a word of Python, as `s["lambda"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


# What others call a setting, without regard to case, dashes and underscores.
SYNONYMS = {
    "lr": "learningrate stepsize rate",
    "batch_size": "bs batch batchsize minibatch minibatchsize",
    "epochs": "epoch nepochs numepochs maxepochs nepoch passes",
    "steps": "nsteps numsteps maxsteps iterations iters niter maxiter",
    "latent_dim": "zdim z latent latents latentsize nlatent nlatents codesize codedim bottleneck dim",
    "n_components": "k clusters nclusters numclusters components numcomponents centers",
    "hidden": "hiddendim hiddendims hiddensize hiddensizes hiddenlayers layers units width",
    "beta": "klweight kl kld",
    "seed": "randomseed randomstate rngseed",
    "optimizer": "optim opt optimiser",
    "momentum": "mom",
    "weight_decay": "wd l2",
    "activation": "act nonlinearity activationfn",
    "schedule": "scheduler lrscheduler lrschedule",
    "patience": "earlystopping earlystop",
    "device": "gpu cuda accelerator",
    "dataset": "data",
    "dataset.root": "datadir datapath datafolder path folder",
    "dataset.limit": "nsamples numsamples nsample subset",
    "dataset.val_size": "valsplit validationsplit valfraction",
    "dataset.test_size": "testsplit testfraction",
    "n_critic": "ncritics criticsteps criticiters",
}


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that was probably meant: the same but for its case, its dashes and what stands before its
    dot, what others call it, or spelt alike."""
    names, bare = list(names), _bare(name)
    same = [n for n in names if n.rpartition(".")[2] == name] or [
        n for n in names if bare in (_bare(n), _bare(n.rpartition(".")[2]))
    ]
    called = [n for n in names if bare in SYNONYMS.get(n, "").split()]
    alike = get_close_matches(name.lower(), [n.lower() for n in names], n=1)
    return next(iter(same or called or [n for n in names if n.lower() in alike]), None)


def _bare(name: str) -> str:
    return re.sub(r"[-_. ]", "", name.lower())


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
