"""genbench: one command, one loop, classical and deep generative models side by side.

    import genbench
    vae = genbench.fit(X, y, model="vae", beta=4)  # arrays, tensors or tables; lambda_ for lambda
    vae = genbench.fit(model="vae", beta=4)        # as genbench model=vae beta=4
    vae.metrics["test"]                            # its numbers
    vae.encode(X), vae.decode(z), vae.sample(16)   # its model
    vae.plot("reconstructions")                    # a figure of matplotlib
    genbench.load("outputs/RUN")                   # a finished run
    genbench.sweep(X, model=["vae", "gmm"], beta=[1, 4])  # a table, with a row for each run
    genbench.report("outputs")                     # a comparison of runs
    genbench.sklearn.VAE()                         # an estimator of scikit-learn

See also `help(genbench.fit)`, `help(genbench.Trained)` and `help(genbench.sklearn.VAE)`.
"""

import importlib
from typing import Any

__version__ = "0.2.0"
__all__ = ["Trained", "fit", "load", "report", "sweep"]


def __getattr__(name: str) -> Any:
    """Import torch only when something that needs it is used: the command line starts without."""
    if name in ("report", "sklearn"):  # packages, of which the first can be called
        return importlib.import_module(f"genbench.{name}")
    if name in __all__:
        from genbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'genbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
