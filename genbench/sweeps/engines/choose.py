"""Chooses the engine of a launcher; its library is imported only then."""

from genbench.sweeps.engines.interface import Engine, Wanted


def engine_for(name: str, wanted: Wanted) -> Engine:
    """The engine of the launcher of this name. UserError if its library is missing or refuses."""
    if name == "joblib":
        from genbench.sweeps.engines.on_joblib import JoblibEngine

        return JoblibEngine(wanted)
    if name == "ray":
        from genbench.sweeps.engines.on_ray import RayEngine

        return RayEngine(wanted)
    if name == "submitit_slurm":
        from genbench.sweeps.engines.on_slurm import SlurmEngine

        return SlurmEngine(wanted)
    from genbench.sweeps.engines.on_processes import LocalEngine

    return LocalEngine(wanted)
