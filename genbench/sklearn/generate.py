"""Makes the class of an estimator from the declared settings of its model."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from genbench.model import Model
from genbench.models.cvae import CVAE
from genbench.models.kde import KDE
from genbench.models.kmeans import Clustering
from genbench.models.mixture import Mixture
from genbench.models.pca import PCA
from genbench.models.supervised_ae import SupervisedAE
from genbench.settings.names import nearest
from genbench.sklearn.components import CentresMixin, ComponentsMixin, PrincipalMixin
from genbench.sklearn.docstrings import class_docstring
from genbench.sklearn.estimator import Estimator
from genbench.sklearn.labels import ClassesMixin, ConditionalMixin
from genbench.sklearn.methods import (
    CoderMixin,
    DecoderMixin,
    KernelDensityMixin,
    LikelihoodMixin,
    ReconstructionMixin,
    SamplerMixin,
)
from genbench.sklearn.names import registry, require_model
from genbench.sklearn.parameters import EstimatorParameter, parameters_of, signature_of
from genbench.utils.imports import locate


@cache
def estimator_class(name: str) -> type[Estimator]:
    """The estimator of this name. AttributeError if no model's estimator has it."""
    model = require_model(name)
    known = registry()
    chosen = locate(known.value(f"model/{model}", "model.class"), "model.class")
    parameters = parameters_of(model, chosen, known)
    bases = bases_of(chosen)
    content = {
        "__module__": "genbench.sklearn",
        "__qualname__": name,
        "__doc__": class_docstring(model, parameters, attributes_of(bases), known),
        "__init__": constructor(parameters),
        "model_name": model,
        "model_class": chosen,
        "parameters": tuple(parameters),
        "needs_labels": issubclass(chosen, CVAE) or ClassesMixin in bases,
        "is_binary": any(parameter.name == "binarize" for parameter in parameters),
    }
    return type(name, bases, content)


def constructor(parameters: Sequence[EstimatorParameter]) -> Callable[..., None]:
    """A constructor that keeps the values of these parameters, as scikit-learn asks for."""
    signature = signature_of(list(parameters))
    known = [parameter.name for parameter in parameters]

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}() {error}{_meant(kwargs, known)}") from None
        bound.apply_defaults()
        for parameter in parameters:
            setattr(self, parameter.name, bound.arguments[parameter.name])

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__doc__ = None
    return __init__


def _meant(given: Iterable[str], known: Sequence[str]) -> str:
    """A hint at the parameter that a wrong name probably stands for."""
    wrong = next((name for name in given if name not in known), None)
    near = wrong and nearest(wrong, known)
    return f"; did you mean {near!r}?" if near else ""


def bases_of(chosen: type[Model]) -> tuple[type, ...]:
    """The mixins for what models of this class can do."""
    if issubclass(chosen, Clustering):
        return (CentresMixin, SamplerMixin)
    if issubclass(chosen, Mixture):
        return (ComponentsMixin, SamplerMixin)
    if issubclass(chosen, PCA):
        return (PrincipalMixin, SamplerMixin)
    if issubclass(chosen, CVAE):
        return (ConditionalMixin,)
    if issubclass(chosen, KDE):
        return (KernelDensityMixin, SamplerMixin)
    found: list[type] = []
    predicts = issubclass(chosen, SupervisedAE)
    able = {name: hasattr(chosen, name) for name in ("encode", "decode", "log_prob", "sample")}
    if able["encode"]:
        found.append(ClassesMixin if predicts else CoderMixin)
    elif able["decode"]:
        found.append(DecoderMixin)
    if able["log_prob"]:
        found.append(LikelihoodMixin)
    elif able["encode"] and not predicts and not chosen.invertible:
        found.append(ReconstructionMixin)
    return (*found, *[SamplerMixin] * able["sample"])


def attributes_of(bases: Sequence[type]) -> dict[str, tuple[str, str]]:
    """What the docstring says of the attributes that these mixins set when they are fitted."""
    found: dict[str, tuple[str, str]] = {}
    for base in bases:
        for ancestor in reversed(base.__mro__):
            found |= vars(ancestor).get("attributes", {})
    return found
