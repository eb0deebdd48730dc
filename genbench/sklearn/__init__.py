"""Every model of genbench as an estimator of scikit-learn."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Make the class of an estimator when it is first asked for, which imports torch."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from genbench.sklearn.generate import estimator_class

    return estimator_class(name)


def __dir__() -> list[str]:
    from genbench.sklearn.names import estimator_names

    return [*estimator_names()]
