"""The names of runs' folders, and the resolvers by which configs/ asks for them."""

import hashlib
import re
from collections.abc import Collection, Iterable

from omegaconf import OmegaConf

from genbench.config.choice_files import PLACES

# Settings that say where and how a run is computed, watched and drawn.
UNNAMED = ("device", "evaluation", "draw_every", "save_every", "theme", "upscaling", "logger")


def run_name(
    model: str, overrides: Iterable[str], named: Collection[str] = (), limit: int = 80
) -> str:
    """A folder name of at most so many bytes that says what a run is: model, dataset if one was
    chosen, chosen values.

    `named` are settings that are part of the name although they do not say what the run is, since
    jobs differ in them; of a path, its last component is. The name is one path component and needs
    no quotes, neither in a shell nor in Hydra's grammar (so `beta-4`, not `beta=4`). Two runs may
    have the same one.
    """
    given = [override.lstrip("+~").partition("=")[::2] for override in overrides]
    words = [model, *(value for name, value in given if name == "dataset")]
    for name, value in given:
        if name == "dataset.path" or (name in PLACES and name in named):
            last = value.rstrip("/").rpartition("/")[2]
            words.append(f"{name.partition('.')[2]}={last}")
        elif (
            name not in ("model", "dataset")
            and not name.startswith("hydra")
            and (name in named or name not in (*UNNAMED, *PLACES))
        ):
            words.append(f"{name}={value}")
    return _cut(_component(words), limit)


# A word and a value that keep their meaning as parts of a name, where =, commas and brackets
# become -.
_VALUE = r"[+-]?\.?[^\W_]+(?:[.+-][^\W_]+)*\.?"


PLAIN = re.compile(rf"[\w.]+=(?:{_VALUE}|\[{_VALUE}(?:,{_VALUE})*\])")


def unique_name(model: str, overrides: Iterable[str], limit: int = 80) -> str:
    """A folder name that no other overrides lead to, for jobs that do not know of each other: it
    names every override.

    A digest tells apart what looks the same otherwise, or is longer than so many bytes.
    """
    words = [
        word
        for word in (o.lstrip("+~") for o in overrides)
        if not word.startswith(("model=", "hydra"))
    ]
    name = _component([model, *words])
    whole = re.fullmatch(_VALUE, model.replace("_", "-")) and all(
        PLAIN.fullmatch(word) for word in words
    )
    return (
        name
        if whole and len(name.encode()) <= limit
        else marked(name, "\0".join([model, *words]), limit)
    )


def _component(words: Iterable[str]) -> str:
    return "_".join(re.sub(r"[^\w.+-]+", "-", word).strip("-") for word in words)


def _cut(name: str, limit: int) -> str:
    return name.encode()[:limit].decode(errors="ignore")


def marked(name: str, text: str, limit: int = 80) -> str:
    """The name with a digest of the text, within so many bytes."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{_cut(name, limit - 9)}-{digest}"


# At import, because the workers of a parallel launcher only import what a job needs.
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("unique_name", unique_name, replace=True)
