"""The config of a run: which settings a model has on a dataset, the check of their values, and
which settings identify a run.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from genbench.config.array_choice import inferred_kind
from genbench.config.choice_files import FIXED, GROUPS, PLACES
from genbench.config.registry import Registry
from genbench.config.values import flatten
from genbench.settings.base import user_error
from genbench.settings.fields import ConditionalDefault
from genbench.settings.names import nearest
from genbench.settings.setting import Setting
from genbench.utils.errors import UserError, plain


def check_config(
    config: dict, registry: Registry, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A composed config, with `changes` by dotted name, and every value in its declared type.

    Raises UserError for a value that is not allowed, and for a key that nothing declares for this
    model and dataset.
    """
    model, dataset = config["model"]["name"], config["dataset"]["name"]
    checked: dict[str, Any] = {}
    changes = dict(changes or {})
    values = flatten(config) | changes
    known = known_settings(registry, model, dataset, values)
    for name, value in values.items():
        if name not in FIXED or name in changes:
            if name not in known:
                raise unknown(name, value, registry, model, dataset)
            value = known[name].check(value, values)
        *parents, key = name.split(".")
        node = checked
        for parent in parents:
            node = node.setdefault(parent, {})
        node[key] = value
    kind = _kind(registry, dataset, values)
    if kind is not None and "kind" not in checked["dataset"]:
        checked["dataset"]["kind"] = kind
    require_one_length(checked, known)
    require_agreement(flatten(checked), dataset, registry)
    missing = sorted(known.keys() - values.keys())
    if missing:
        raise UserError(
            missing[0],
            "is missing from the config",
            fix=f"add {missing[0]}: {known[missing[0]].default}",
        )
    return checked


def _kind(registry: Registry, dataset: str, values: Mapping[str, Any]) -> str | None:
    """What the points of a dataset are; of arrays in a file, the file says it."""
    kind = registry.value(f"dataset/{dataset}", "dataset.kind")
    if kind is not None or "dataset.kind" in values:
        return kind
    return inferred_kind(registry.value(f"dataset/{dataset}", "dataset.loader"), values)


def require_one_length(config: dict, known: Mapping[str, Setting]) -> None:
    """Of `epochs` and `steps`, let the one that was chosen say how long the run is; UserError if
    both were.
    """
    if "steps" not in known:
        return
    chosen = [n for n in ("epochs", "steps") if config[n] not in (None, "auto", known[n].default)]
    if len(chosen) == 2:
        raise UserError(
            "steps",
            f"epochs={config['epochs']} says how long the run is",
            config["steps"],
            "leave out one of them",
        )
    if chosen == ["epochs"]:
        config["steps"] = None


def require_agreement(values: Mapping[str, Any], dataset: str, registry: Registry) -> None:
    """UserError where settings of a dataset, each allowed by itself, contradict one another.

    A validator of its settings class says so. `values` are checked and by dotted name.
    """
    path = f"dataset/{dataset}"
    own = {
        name.removeprefix("dataset."): values[name]
        for name, setting in registry.settings(path).items()
        if name in values and not (values[name] is None and setting.required)
    }
    try:
        registry.declared(path).model_validate(own)
    except ValidationError as error:
        raise user_error(error, f"dataset={dataset}") from None


def known_settings(
    registry: Registry, model: str, dataset: str, values: Mapping[str, Any] | None = None
) -> dict[str, Setting]:
    """Every setting that a run of this model on this dataset has, with the default that holds
    beside these values.
    """
    known, choices = registry.shared(), (f"dataset/{dataset}", f"model/{model}")
    for choice in choices:
        known |= registry.settings(choice)
    for choice in (
        choices
    ):  # in Hydra's order: a model may change what a dataset has set, and both what every run has
        for name in registry.shared():
            default = registry.value(choice, name)
            if default is not None:
                known[name] = replace(known[name], default=default)
    others = {name: setting.default for name, setting in known.items()}
    others |= {"dataset.kind": _kind(registry, dataset, values or {}), **(values or {})}

    def fixed(default: Any) -> Any:
        """What a default is beside the others, which may depend on others in their turn."""
        if not isinstance(default, ConditionalDefault):
            return default
        return fixed(default.beside({default.name: fixed(others.get(default.name))}))

    return {
        name: replace(setting, default=fixed(setting.default)) for name, setting in known.items()
    }


# What does not distinguish runs: where they run, how they are watched, how far they have come,
# and what their names say already.
ASIDE = (
    *(
        "device",
        "epochs",
        "steps",
        "validate_every",
        "save_every",
        "draw_every",
        "theme",
        "upscaling",
    ),
    *("evaluation", "logger", "dataset.digest", *PLACES, *FIXED),
)


def title(config: dict, registry: Registry, swept: Collection[str] = ()) -> str:
    """What a run's pictures say of it: model, data, and the settings that are swept or not at
    their defaults.
    """
    model, dataset = config["model"]["name"], config["dataset"]["name"]
    values = flatten(config)
    known = known_settings(registry, model, dataset, values)
    own = {
        name: values[name]
        for name in known
        if name in swept
        or (name not in ASIDE and values[name] != known[name].default)
        or (name in PLACES and known[name].required)  # the data themselves, not their place
    }
    for name in own.keys() & PLACES:  # of a path, what tells two apart
        own[name] = str(own[name]).rstrip("/").rpartition("/")[2]
    return plain(
        ", ".join(
            [f"{model} on {dataset}", *(f"{name}={_short(value)}" for name, value in own.items())]
        )
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def unknown(name: str, value: Any, registry: Registry, model: str, dataset: str) -> UserError:
    """The error for a setting that this model and dataset do not have: the nearest name, or who
    has it.
    """
    if name in FIXED:
        choice, _, part = name.partition(".")
        return UserError(
            name, f"{part} is fixed by configs/{choice}/", value, f"choose with {choice}=NAME"
        )
    known = known_settings(registry, model, dataset)
    owners = registry.owners(name)
    subject = f"dataset={dataset}" if name.startswith("dataset.") else f"model={model}"
    if owners:
        own = registry.settings(subject.replace("=", "/"))
        return UserError(
            name,
            f"{subject} has no setting '{name}'",
            f"{name}={value}",
            f"leave it out (it belongs to: {', '.join(owners)}; "
            f"{subject} has: {', '.join(sorted(own)) or 'none'})",
        )
    near = nearest(name, [*known, "model", "dataset"])
    if near:
        return UserError(name, "no such setting", f"{name}={value}", f"did you mean '{near}'?")
    choices = [f"{group}/{choice}" for group in GROUPS for choice in registry.readable(group)]
    others = [key for choice in choices for key in registry.settings(choice)]
    near = nearest(name, others, {})  # only the spelling: a synonym may mean something else there
    fix = f"'genbench help {subject.partition('=')[2]}' lists the settings of {subject}"
    if near:
        fix = f"did you mean '{near}', which belongs to: {', '.join(registry.owners(near))}?"
    return UserError(name, "no such setting", f"{name}={value}", fix)
