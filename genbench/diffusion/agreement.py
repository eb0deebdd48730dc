"""Which choices of a diffusion model go together."""

from genbench.data.types import DataSpec
from genbench.settings.diffusion import DiffusionSettings
from genbench.utils.errors import UserError


def require_choices_that_agree(spec: DataSpec, s: DiffusionSettings) -> None:
    """UserError for settings that contradict one another or the data."""
    if s.conditional and not spec.classes:
        raise UserError("conditional", "needs data with classes", True, "conditional=false")
    ve_only = {
        "sampler": s.sampler == "langevin" and "langevin",
        "churn": s.churn,
        "times": s.times == "log-normal" and "log-normal",
    }
    for name, value in ve_only.items():
        if value and s.path != "ve":
            raise UserError(name, f"needs path=ve, not {s.path}", value, "path=ve")
    if s.path == "ve" and s.sigma_min >= s.sigma_max:
        raise UserError(
            "sigma_min",
            f"is below sigma_max={s.sigma_max:g}",
            s.sigma_min,
            f"sigma_min={s.sigma_max / 1000:g}",
        )
    if s.path == "rectified" and s.prediction == "eps":
        what = "does not determine the data at the end of path=rectified, which is pure noise"
        raise UserError("prediction", what, "eps", "prediction=velocity")
    if s.source != "normal" and s.path != "rectified":
        raise UserError("source", f"needs path=rectified, not {s.path}", s.source, "source=normal")
