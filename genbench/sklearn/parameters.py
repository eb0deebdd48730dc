"""The parameters of an estimator, read from the declared settings of its model."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from inspect import Parameter, Signature
from typing import Any, get_args

from genbench.config.choice_files import FIXED
from genbench.config.registry import SHARED, Registry
from genbench.model import Model
from genbench.settings.base import auto_of, own_first
from genbench.settings.fields import ConditionalDefault
from genbench.settings.groups import EarlyStoppingSettings, GradientSettings, NetworkSettings
from genbench.settings.setting import Setting, written
from genbench.sklearn.names import parameter_names

# Settings of runs that keep files, which estimators do not.
OF_FILES = {"save_every", "draw_every", "theme", "upscaling", "evaluation", "validate_every"}
OF_FILES |= {"logger"}
LEADING = ("n_components", "n_clusters", "latent_dim")  # may be given without its name
TRAILING = ("device", "random_state")
# How conditions on the data are called, where a run's settings would name the dataset.
CASES = {"dataset.kind": "{}", "dataset.standardize": "standardize={}"}
BY_DATA = "auto"  # the default of a parameter whose value follows from others or from the data
# What estimators accept besides, and where they differ from runs.
OTHER_KINDS = {"seed": "int, RandomState instance or None"}
OTHER_MEANINGS = {
    ("seed", 0): "seed of initial weights, order of the data and noise; None draws one by NumPy",
    ("epochs", BY_DATA): "passes over the training data, unless the model converges earlier; "
    "'auto' is 40, or as many as make 1,000 steps, unless steps is given",
}


@dataclass(frozen=True)
class EstimatorParameter:
    """A parameter: its name, its default, what it may be, and what it means.

    `setting` is the model's setting that it stands for; None for those of all estimators.
    """

    name: str
    default: Any
    kind: str
    meaning: str
    setting: Setting | None = None

    @property
    def signature(self) -> Parameter:
        """The parameter as `inspect` knows it."""
        is_first = self.name in LEADING
        kind = Parameter.POSITIONAL_OR_KEYWORD if is_first else Parameter.KEYWORD_ONLY
        return Parameter(self.name, kind, default=self.default)


def parameters_of(model: str, chosen: type[Model], registry: Registry) -> list[EstimatorParameter]:
    """All parameters of a model's estimator, the most important ones first."""
    path = f"model/{model}"
    declared = registry.declared(path)
    known = {s.name: s for s in own_first(declared, _settings(path, registry))}
    if not chosen.shuffles:
        known.pop("batch_size")  # the result does not depend on it
    if known["epochs"].default == 1:
        known.pop("epochs")  # one pass is all it needs
    names = parameter_names(model)
    found = {}
    for setting in known.values():
        name, auto = names.get(setting.name, setting.name), auto_of(declared, setting.name)
        found[name] = _parameter(name, setting, auto)
    found |= {extra.name: extra for extra in _common(declared, chosen)}
    first, last = ([found.pop(n) for n in some if n in found] for some in (LEADING, TRAILING))
    return [*first, *found.values(), *last]


def signature_of(parameters: list[EstimatorParameter]) -> Signature:
    """The signature of a constructor with these parameters."""
    own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    return Signature([own, *(parameter.signature for parameter in parameters)])


def _settings(path: str, registry: Registry) -> Iterator[Setting]:
    """The settings of a model and of every run, with the defaults that the model gives them."""
    own = registry.settings(path)
    for name in SHARED:
        if name not in (*FIXED, *OF_FILES):
            value = registry.value(path, name)
            setting = registry.shared()[name]
            yield setting if value is None else replace(setting, default=value)
    yield from own.values()


def _parameter(name: str, setting: Setting, auto: str) -> EstimatorParameter:
    default: Any = setting.default
    meaning = setting.described if not auto else f"{setting.meaning}; auto is {auto}"
    if isinstance(default, ConditionalDefault):
        default, meaning = BY_DATA, f"{setting.meaning}; 'auto' is {_cases(default)}"
    if isinstance(default, list):
        default = tuple(default)  # no two estimators share a list
    kind = OTHER_KINDS.get(setting.name) or _kind(setting)
    meaning = OTHER_MEANINGS.get((setting.name, default), meaning)
    return EstimatorParameter(name, default, kind, _in_python(meaning), setting)


def _cases(default: ConditionalDefault) -> str:
    """What a default is, with the values of others on which it depends."""
    texts = []
    for others, value in default.cases:
        conditions = (CASES.get(name, f"{name}={{}}").format(v) for name, v in others.items())
        texts.append(f"{written(value)} with {' and '.join(conditions)}")
    return ", ".join(texts)


def _kind(setting: Setting) -> str:
    """What a parameter may be, as numpydoc writes it."""
    texts, words = [], []
    for alternative in setting.alternatives:
        if alternative.words and alternative.words == (alternative.text,):
            words.append(repr(get_args(alternative.annotation)[0]))
        else:
            texts.append(_in_python(alternative.text))
    texts += [f"{{{', '.join(dict.fromkeys(words))}}}"] * bool(words)
    return " or ".join(dict.fromkeys(texts))


def _in_python(text: str) -> str:
    """A text about settings of the command line in words of Python."""
    text = re.sub(r", see dataset\.\w+", "", text)
    for word, value in (("null", "None"), ("true", "True"), ("false", "False")):
        text = re.sub(rf"\b{word}\b", value, text)
    return text


def _common(declared: type, chosen: type[Model]) -> Iterator[EstimatorParameter]:
    """The parameters that no setting of the model stands for."""
    if issubclass(declared, EarlyStoppingSettings):
        yield EstimatorParameter(
            "validation_fraction",
            0.1,
            "float in (0, 1)",
            "share of the points that are set aside to stop early, where patience is not None",
        )
    if issubclass(declared, NetworkSettings):
        yield EstimatorParameter(
            "image_shape",
            None,
            "tuple of 3 ints or None",
            "channels, height and width of pictures, whose values are the columns of X in this "
            "order; None for other data. Values in [0, 1] are taken for pixels",
        )
    meaning = "train on values of mean 0 and standard deviation 1; points, samples and densities "
    meaning += "stay in the units of X"
    if issubclass(declared, NetworkSettings):
        meaning += "; 'auto' does, unless image_shape is given"
        yield EstimatorParameter("standardize", BY_DATA, "bool or {'auto'}", meaning)
    else:
        learns = issubclass(declared, GradientSettings)
        yield EstimatorParameter("standardize", learns, "bool", meaning)
    if getattr(chosen, "is_discrete", False):
        yield EstimatorParameter(
            "binarize",
            0.0,
            "float or None",
            "values above it count as 1 and others as 0; None if X holds nothing else",
        )
    yield EstimatorParameter("verbose", False, "bool", "print the progress of `fit`")
