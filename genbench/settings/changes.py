"""Settings that are chosen anew after training."""

from collections.abc import Mapping
from typing import Any, TypeVar

from genbench.settings.base import settings_of
from genbench.settings.run import RunSettings
from genbench.utils.errors import UserError

Some = TypeVar("Some", bound=RunSettings)


def with_sampling(settings: Some, changes: Mapping[str, Any]) -> Some:
    """The settings with other values of some of their `sampling_settings`.

    UserError for other settings, and for values that do not go with the rest.
    """
    known, values = settings_of(type(settings)), settings.values() | {**changes}
    checked = {}
    for name, value in changes.items():
        if name not in settings.sampling_settings:
            others = ", ".join(settings.sampling_settings)
            fix = f"leave it out, or choose {others}" if others else "leave it out"
            raise UserError(name, "cannot be chosen after training", value, fix)
        checked[name] = known[name].check(value, values)
    return settings.model_copy(update=checked)
