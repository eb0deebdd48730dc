"""genbench: one command, one loop, classical and deep generative models side by side.

From Python, `genbench.fit(model="vae", beta=4)` runs an experiment and `genbench.load(folder)` takes up a finished
one; both return a `Trained`.
"""

__version__ = "0.1.0"
__all__ = ["Trained", "fit", "load"]


def __getattr__(name: str):
    """Import torch only when something that needs it is asked for: the command line answers without."""
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module 'genbench' has no attribute '{name}'")
