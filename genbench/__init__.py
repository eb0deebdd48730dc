"""genbench: one command, one loop, classical and deep generative models side by side.

    import genbench
    vae = genbench.fit(model="vae", beta=4)      # as genbench model=vae beta=4; lambda_ for lambda
    vae = genbench.load("outputs/RUN")           # a finished run
    vae.metrics["test"]                          # its numbers
    vae.encode(x), vae.decode(z), vae.sample(16) # its model

See also `help(genbench.fit)`, `help(genbench.load)` and `help(genbench.Trained)`.
"""

from typing import Any

__version__ = "0.2.0"
__all__ = ["Trained", "fit", "load"]


def __getattr__(name: str) -> Any:
    """Import torch only when something that needs it is used: the command line starts without."""
    if name in __all__:
        from genbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'genbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
