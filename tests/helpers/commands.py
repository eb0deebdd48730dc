"""Commands that tests share."""

import shlex

from genbench.cli.flags import parse_flags
from genbench.config.overrides import without_hydras
from genbench.config.request import check_request
from genbench.sweeps.launchers import split_options
from genbench.sweeps.search_space import search_space
from genbench.sweeps.search_words import is_search

TINY = ["epochs=2", "dataset.limit=100", "device=cpu", "evaluation=none"]


def put_own(tmp_path, **texts):
    """Files of a user's own, by name with `__` for a slash, in the folder `own`."""
    for name, text in texts.items():
        file = tmp_path / "own" / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def checked(line, registry, commands=()):
    """The jobs that a command asks for, or one of those that a search may choose; UserError if it cannot run."""
    flags = parse_flags(shlex.split(line, comments=True)[1:])
    words = split_options(flags.overrides)[0] if flags.multirun else flags.overrides
    if flags.multirun and is_search(flags.overrides):
        space = search_space(without_hydras(words), registry, commands)
        return [space.overrides(corner) for corner in space.corners()]
    return check_request(words, registry, commands, flags.multirun)
