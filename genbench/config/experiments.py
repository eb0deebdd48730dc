"""Ready experiments: the files of settings that `experiment=NAME` stands for.

Such a file is Hydra's: it begins with `# @package _global_`, its defaults list chooses a model and
a dataset by `override /model: NAME`, and may name other experiments that it builds on.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbench.config.choice_files import GROUPS, require_global
from genbench.config.registry import Registry
from genbench.config.values import flatten
from genbench.settings.names import nearest
from genbench.utils.errors import UserError
from genbench.utils.files import MOST_YAML, Unreadable, parse_yaml, read_text

EXPERIMENT = "experiment"


def experiments(registry: Registry) -> list[str]:
    """The names of the experiments, without recipes in the same folder.

    Damaged files are among them, so that those who use one learn what is wrong with it.
    """
    return [name for name in registry.names(EXPERIMENT) if not _holds_recipe(name, registry)]


def _holds_recipe(name: str, registry: Registry) -> bool:
    try:
        return is_recipe(_text(registry.file(f"{EXPERIMENT}/{name}")))
    except UserError:
        return False


def with_experiment(given: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """What is given by dotted name, after what the experiment among it sets. UserError for a bad
    file.
    """
    name = given.get(EXPERIMENT)
    preset = {} if name is None else preset_of(name, registry)
    return preset | {key: value for key, value in given.items() if key != EXPERIMENT}


def preset_of(name: Any, registry: Registry, within: tuple[str, ...] = ()) -> dict[str, Any]:
    """What an experiment sets, by dotted name; the model and dataset that it chooses are among it.

    `within` are the experiments that build on it. UserError if there is none of this name.
    """
    names = registry.names(EXPERIMENT)
    if name not in names:
        near = nearest(str(name), names)
        fix = f"{EXPERIMENT}={near}" if near else f"choose one of: {', '.join(names)}"
        raise UserError(EXPERIMENT, f"no such {EXPERIMENT}", name, fix)
    file = registry.file(f"{EXPERIMENT}/{name}")
    text = _text(file)
    try:
        content = parse_yaml(text, file) or {}
    except Unreadable as error:
        raise UserError(str(file), error.what, fix="correct the file") from error
    if is_recipe(text):
        raise UserError(str(file), "is a recipe, not an experiment", fix=f"genbench verify {name}")
    require_global(file, text)
    if not isinstance(content, dict):
        raise UserError(
            str(file), "holds no settings by name", fix="write NAME: VALUE in each line"
        )
    for group in GROUPS:
        if group in content and not isinstance(content[group], dict):
            fix = f"choose it in the defaults list: defaults: [override /{group}: NAME]"
            raise UserError(f"{file}: {group}", "is no setting", content[group], fix)
    if name in within:
        chain = " > ".join([*within, name])
        raise UserError(str(file), "includes itself", chain, "correct its defaults list")
    listed = content.pop("defaults", None) or []
    found: dict[str, Any] = {}
    for entry in listed if isinstance(listed, list) else [listed]:
        found |= _included(entry, file, registry, (*within, name))
    return found | flatten(content)


def _text(file: Path) -> str:
    """The text of an experiment's file, which may be a link."""
    try:
        return read_text(Path(os.path.realpath(file)), MOST_YAML)
    except Unreadable as error:
        raise UserError(str(file), error.what, fix="correct the file") from error


def _included(
    entry: Any, file: Path, registry: Registry, within: tuple[str, ...]
) -> dict[str, Any]:
    """What an entry of an experiment's defaults list sets."""
    if isinstance(entry, str):
        return {} if entry == "_self_" else preset_of(entry, registry, within)
    if isinstance(entry, dict) and len(entry) == 1:
        ((key, choice),) = entry.items()
        group = str(key).removeprefix("override ").strip().removeprefix("/")
        if str(key).startswith("override ") and group in GROUPS:
            return {group: choice}
    raise UserError(
        f"{file}: defaults",
        "an experiment chooses a model and a dataset, and may build on others",
        entry,
        "such as defaults: [override /model: vae, override /dataset: mnist]",
    )


def is_recipe(text: str) -> bool:
    """Whether a file says what `genbench verify` measures, as files in experiment/ did earlier."""
    return re.search(r"(?m)^(measure|ours):", text) is not None
