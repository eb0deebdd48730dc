"""The settings classes: that they describe what configs/ declare."""

import pytest

from genbench.config.registry import GROUPS, builtin_registry
from genbench.config.settings import Varying
from genbench.settings.base import own_first, settings_of
from genbench.settings.builtin import DATASETS, MODELS
from genbench.settings.commands import COMMANDS
from genbench.settings.fields import ConditionalDefault
from genbench.settings.run import RunSettings

REGISTRY = builtin_registry()
SHARED = settings_of(RunSettings)
CHOICES = [(g, c) for g in (*GROUPS, "command") for c in REGISTRY.names(g)]


def declared(group, choice):
    if group == "command":
        return COMMANDS[choice]
    code = REGISTRY.value(
        f"{group}/{choice}", f"{group}.{'class' if group == 'model' else 'loader'}"
    )
    return (MODELS if group == "model" else DATASETS)[code]


def plain(default):
    if isinstance(default, (Varying, ConditionalDefault)):
        return default.name, default.choices
    return default


def described(setting):
    return setting.in_words(), setting.words(), setting.meaning


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_classes_say_what_the_comments_say(group, choice):
    cls = declared(group, choice)
    new = settings_of(cls, "dataset." * (group == "dataset"))
    own = {n: s for n, s in new.items() if n not in SHARED or group == "command"}
    old = REGISTRY.settings(f"{group}/{choice}")
    assert set(own) == set(old)
    assert set(own) == {s.name for s in own_first(cls, own.values())}
    for name, setting in own.items():
        assert (setting.in_words(), setting.meaning) == (old[name].in_words(), old[name].meaning)
        if choice not in ("beta-vae", "iwae", "linear-ae"):
            assert repr(plain(setting.default)) == repr(plain(old[name].default)), name
            if not isinstance(setting.default, ConditionalDefault):
                assert setting.words() == old[name].words()
    for name in SHARED if group == "model" else ():
        value = REGISTRY.value(f"{group}/{choice}", name)
        usual = new[name].default
        assert plain(usual) == (SHARED[name].default if value is None else plain(value))


def test_shared():
    old = REGISTRY.shared()
    assert {n: (described(s), s.default) for n, s in SHARED.items()} == {
        n: (described(s), s.default) for n, s in old.items()
    }
    assert list(old) == list(SHARED)
