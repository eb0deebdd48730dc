"""The flags of a command that runs something or shows what would run, and the settings beside
them.
"""

import argparse
from typing import Any, NoReturn

from genbench.settings.names import nearest
from genbench.utils import torchrun
from genbench.utils.errors import UserError

# Flags of Hydra that genbench does not take, each with the reason and the way out.
REFUSED = {
    ("--experimental-rerun",): (
        "runs what a pickle holds, which may be any code",
        "genbench resume RUN_DIR",
    ),
    ("--config-path", "-cp", "--config-name", "-cn"): (
        "would hide the settings that genbench declares",
        "--config-dir FOLDER adds files of your own",
    ),
    ("--shell-completion", "-sc"): (
        "is Hydra's, and knows no settings of genbench",
        "genbench completion bash|zsh|fish",
    ),
    ("--run", "-r"): ("is what happens anyway", "leave it out"),
}


FLAGS: dict[tuple[str, ...], dict[str, Any]] = {
    ("--help", "-h"): {"action": "store_true", "help": "Every setting of genbench"},
    ("--version",): {"action": "store_true", "help": "The version of genbench"},
    ("--hydra-help",): {"action": "store_true", "help": "This text"},
    ("--cfg", "-c"): {
        "choices": ["job", "hydra", "all"],
        "help": "Show the settings, and run nothing",
    },
    ("--resolve",): {"action": "store_true", "help": "With --cfg: follow what values refer to"},
    ("--package", "-p"): {"help": "With --cfg: show this part of the settings"},
    ("--multirun", "-m"): {
        "action": "store_true",
        "help": "Run every combination of the listed values",
    },
    ("--config-dir", "-cd"): {"help": "A folder of your own models, datasets and experiments"},
    ("--info", "-i"): {
        "const": "all",
        "nargs": "?",
        "choices": ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"],
        "help": "Show what Hydra knows: its plugins and where it finds configs",
    },
}


class _Parser(argparse.ArgumentParser):
    """A parser that reports in one line, as genbench does."""

    def error(self, message: str) -> NoReturn:
        """UserError with what argparse says."""
        key, colon, what = message.removeprefix("argument ").partition(": ")
        if not colon:
            key, what = "command line", key
        raise UserError(key, what, fix="see 'genbench --hydra-help'")


def flags_parser() -> argparse.ArgumentParser:
    """What reads the flags and leaves the settings as `overrides`."""
    parser = _Parser(prog="genbench", add_help=False, allow_abbrev=False)
    for names, options in FLAGS.items():
        parser.add_argument(*names, **options)
    parser.add_argument("overrides", nargs="*", help="Settings as NAME=VALUE")
    return parser


def parse_flags(words: list[str]) -> argparse.Namespace:
    """The flags and settings of a command. UserError, in one line, for a flag that there is not."""
    before = words[: words.index("--")] if "--" in words else words
    for word in before:
        for names, (reason, fix) in REFUSED.items():
            if word.partition("=")[0] in names:
                raise UserError(word, reason, fix=fix)
    # A setting that follows --info is not the part to show.
    words = [
        f"{word}=all" if word in ("--info", "-i") and "=" in after else word
        for word, after in zip(words, [*words, ""][1:], strict=True)
    ]
    found, unknown = flags_parser().parse_known_intermixed_args(words)
    if unknown:
        name = unknown[0].partition("=")[0]
        near = nearest(name, [flag for names in FLAGS for flag in names])
        fix = f"did you mean '{near}'?" if near else "see 'genbench --help'"
        raise UserError(name, "no such flag", fix=fix)
    return found


def require_one_process(word: str, what: str) -> None:
    """UserError for something that torchrun must not start."""
    if torchrun.started_count() > 1:
        fix = "leave out torchrun; sweeps have launchers of their own"
        raise UserError(word, f"torchrun starts several processes for one run, not {what}", fix=fix)
