"""What estimators and their parameters are called: as in scikit-learn, where it has the like."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

from genbench.config.registry import Registry, builtin_registry

# Names of estimators that do not follow from the name of the model.
ESTIMATOR_NAMES = {
    "beta-tcvae": "BetaTCVAE",
    "bmm": "BernoulliMixture",
    "gmm": "GaussianMixture",
    "gmm-sgd": "GaussianMixtureSGD",
    "kde": "KernelDensity",
    "kmeans": "KMeans",
    "kmeans-minibatch": "MiniBatchKMeans",
    "kmeans-sgd": "KMeansSGD",
    "ncsn": "NCSN",
    "ot-flow": "OTFlow",
    "flow": "FlowMatching",
    "rectified": "RectifiedFlow",
    "pixelcnn": "PixelCNN",
    "realnvp": "RealNVP",
}
LONGEST_ACRONYM = 4  # letters: swae is one, beta is not, as it is not the last word
# What settings are called as parameters, of all models and of some.
OF_ALL = {"seed": "random_state", "lambda": "lambda_"}
CLUSTERING = {"n_components": "n_clusters"}
ITERATIVE = {"epochs": "max_iter"}
MIXTURE = {"covariance": "covariance_type"}
FLOW = {"transform": "transformation"}  # `transform` is a method
PARAMETER_NAMES: dict[str, Mapping[str, str]] = {
    "bmm": ITERATIVE,
    "gmm": ITERATIVE | MIXTURE,
    "gmm-sgd": MIXTURE,
    "kmeans": ITERATIVE | CLUSTERING,
    "kmeans-minibatch": ITERATIVE | CLUSTERING,
    "kmeans-sgd": CLUSTERING,
    "maf": FLOW,
    "pca": {"latent_dim": "n_components"},
    "realnvp": FLOW,
}


@cache
def registry() -> Registry:
    """The models of the package."""
    return builtin_registry()


@cache
def estimator_names() -> Mapping[str, str]:
    """The models by the names of their estimators."""
    return {estimator_name(model): model for model in registry().names("model")}


def estimator_name(model: str) -> str:
    """What the estimator of a model is called: BetaVAE for beta-vae."""
    if model in ESTIMATOR_NAMES:
        return ESTIMATOR_NAMES[model]
    *words, last = model.split("-")
    is_acronym = len(last) <= LONGEST_ACRONYM
    return "".join([*map(str.title, words), last.upper() if is_acronym else last.title()])


def parameter_names(model: str) -> Mapping[str, str]:
    """The parameters of a model's estimator by the settings that have another name."""
    return OF_ALL | dict(PARAMETER_NAMES.get(model, {}))


def require_model(name: str) -> str:
    """The model whose estimator has this name; AttributeError, with the nearest, if none has."""
    known = estimator_names()
    if name in known:
        return known[name]
    lower = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), lower, n=1)
    hint = f"did you mean {lower[near[0]]}?" if near else f"there are {', '.join(known)}"
    raise AttributeError(f"module 'genbench.sklearn' has no attribute {name!r}; {hint}")
