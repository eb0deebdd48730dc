"""The command line: checks what was asked for without importing torch, then hands over to Hydra.

Exit status: 0 all done, 1 a run failed, 2 the request is wrong; 129, 130 and 143 stopped by
SIGHUP, SIGINT and SIGTERM.
"""

import errno
import io
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from itertools import takewhile
from typing import TextIO

from genbench import __version__
from genbench.cli.commands import RUN_COMMANDS
from genbench.cli.completion import SCRIPTS, candidates
from genbench.cli.flags import FLAGS, parse_flags, require_one_process
from genbench.cli.help import (
    choices_help,
    command_help,
    experiments_help,
    name_help,
    names,
    settings_help,
)
from genbench.cli.usage import FIRST, USAGE
from genbench.config.choice_files import GROUPS
from genbench.config.registry import Registry, builtin_registry
from genbench.settings.names import nearest
from genbench.utils import signals, torchrun
from genbench.utils.errors import UserError, report, unexpected
from genbench.utils.output import CheckedOutput, Nowhere


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    argv = sys.argv[1:] if argv is None else argv
    signals.listen()  # `__main__` has done so already, before its imports
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # say what an ASCII terminal cannot show, too
    silent = Nowhere() if torchrun.is_follower() else None
    out, err = (_guarded(silent or stream) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        status = _status(argv)
        if out is not None:
            out.flush()
            if (
                out.error is not None and out.error.errno != errno.EPIPE
            ):  # else its reader has read enough, as in `... | head`
                fix = "make room, or send the output elsewhere"
                report(
                    UserError(
                        "standard output",
                        f"cannot be written: {out.error.strerror or out.error}",
                        fix=fix,
                    )
                )
                status = status or int(_only_tells(argv))
    signals.forget()
    sys.exit(status)


def _guarded(stream: TextIO | Nowhere | None) -> CheckedOutput | None:
    """The stream, which keeps its first failure; None where the process has none."""
    return None if stream is None else CheckedOutput(stream)


def _status(argv: list[str]) -> int:
    """Run the command line, print the error if it fails, and return the exit status."""
    try:
        signals.check()
        return _dispatch(argv)
    except UserError as error:
        report(error)
        return error.code
    except signals.Interrupted as stopped:
        return 128 + stopped.signum
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        error = unexpected(error)
        report(error)
        return error.code


def _only_tells(argv: list[str]) -> bool:
    """Whether a command only prints, so that it fails where its output cannot be written."""
    flags = {word for word in argv if word.startswith("-")}
    return bool({*argv[:1]} & TELLING or flags - {"-m", "--multirun", "--config-dir", "-cd"})


def _dispatch(argv: list[str]) -> int:
    words, config_dir = _without_config_dir(argv)
    flags = set(takewhile(lambda word: word != "--", words))
    if "--version" in flags:
        print(f"genbench {__version__}")
        return 0
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(
            "working directory", "is gone", fix="cd to a folder that is there"
        ) from error
    registry = builtin_registry(config_dir)
    if torchrun.is_follower():
        return _follow(words, flags, registry)
    if flags & {"--help", "-h"}:
        return _help([word for word in words[:1] if word in COMMANDS], registry)
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:], registry)
    return _run(argv)


def _without_config_dir(argv: list[str]) -> tuple[list[str], str | None]:
    """The words without `--config-dir FOLDER`, and that folder.

    The flag may stand anywhere before a `--`.
    """
    words, folder, rest = [], None, iter(argv)
    for word in rest:
        if word == "--":
            words += [word, *rest]
        elif word in ("--config-dir", "-cd"):
            folder = next(rest, None)
            if folder is None:
                raise UserError(
                    "--config-dir", "names no folder", fix="give one that holds model/ or dataset/"
                )
        elif word.startswith("--config-dir="):
            folder = word.partition("=")[2]
        else:
            words.append(word)
    return words, folder


def _follow(words: list[str], flags: set[str], registry: Registry) -> int:
    """What a process of torchrun other than the first does: it takes part in a run, and leaves all
    other commands to the first.
    """
    names = {word.partition("=")[0] for word in flags if word.startswith("-")}
    others = {name for names in FLAGS for name in names} - {"--config-dir", "-cd"}
    if not words or names & others or (words[0] in COMMANDS and words[0] != "resume"):
        return 0
    from genbench.sweeps.launch import follow

    return follow(registry)


def _run(words: list[str]) -> int:
    """A command that begins with no word of its own: a run, a sweep, or a look at what they are."""
    from genbench.config.other_names import words_with_declared_names
    from genbench.config.overrides import written_for_hydra
    from genbench.config.request import check_request, require_typable_choices

    for word in takewhile(lambda word: word != "--", words):
        name, _, value = word.lstrip("-").partition("=")
        if word.startswith("--") and name in names(builtin_registry()):
            raise UserError(
                word, "settings are written without dashes", fix=f"{name}={value or 'VALUE'}"
            )
    flags = parse_flags(words)
    registry = builtin_registry(flags.config_dir)
    if not flags.multirun:  # of a sweep, a comma is between values
        require_typable_choices(flags.overrides, registry)
    settings = written_for_hydra(words_with_declared_names(flags.overrides, registry))
    if flags.multirun and (flags.cfg or flags.info):
        shown = "--cfg" if flags.cfg else "--info"
        raise UserError(shown, "is about one job, and -m asks for several", fix="leave out -m")
    if flags.multirun:
        require_one_process("-m", "a sweep")
        from genbench.sweeps.command import sweep_command

        return sweep_command(settings, registry, COMMANDS)
    if not (settings or flags.hydra_help or flags.info or flags.cfg):
        print(f"{FIRST}\n\n{USAGE}")
        return 0
    check_request(settings, registry, COMMANDS)
    if flags.hydra_help or flags.info or flags.cfg:
        from genbench.cli.inspection import inspect

        return inspect(flags, settings, registry)
    from genbench.sweeps.launch import run_single

    return run_single(settings, registry)


def _choices(group: str, words: list[str], registry: Registry) -> int:
    if words:
        raise UserError(
            f"{group}s",
            f"lists every {group} and takes no settings",
            words[0],
            f"genbench {group}s, or genbench help NAME",
        )
    print(choices_help(group, registry))
    return 0


def _experiments(words: list[str], registry: Registry) -> int:
    """List the experiments with the first line of each."""
    from genbench.config.experiments import EXPERIMENT, experiments

    if words:
        is_one = words[0] in experiments(registry)
        fix = f"genbench {EXPERIMENT}={words[0]}" if is_one else "genbench experiments"
        raise UserError("experiments", "takes no settings", words[0], fix)
    print(experiments_help(registry))
    return 0


def _help(words: list[str], registry: Registry) -> int:
    print("\n\n\n".join(_page(word, registry) for word in words) or settings_help(USAGE, registry))
    return 0


def _page(word: str, registry: Registry) -> str:
    if word in registry.names("command"):
        return command_help(word, registry)
    if word in COMMANDS:
        (line,) = [line for line in USAGE.splitlines() if line.split()[1] == word]
        return re.sub(r"(?<=\S)\s{2,}", "\n\n  ", line.strip())
    return name_help(word, registry)


def _completion(words: list[str], registry: Registry) -> int:
    """Print the script of a shell, or what the last word after `--` may become.

    The script calls the latter.
    """
    if words[:1] == ["--"]:
        *before, word = words[1:] or [""]
        before, config_dir = _without_config_dir(before)
        registry = builtin_registry(
            config_dir and os.path.expanduser(config_dir)
        )  # the shell has not expanded it yet
        sys.stdout.writelines(
            f"{candidate}\n" for candidate in candidates(before, word, registry, COMMANDS)
        )
        return 0
    shell = " ".join(words)
    if shell not in SCRIPTS:
        near = nearest(shell, SCRIPTS) or next(iter(SCRIPTS))
        raise UserError(
            "completion",
            f"knows the shells {', '.join(SCRIPTS)}",
            shell or None,
            f"genbench completion {near}",
        )
    print(SCRIPTS[shell])
    return 0


TELLING = {
    "show",
    "ls",
    "compare",
    "status",
    "help",
    "completion",
    "experiments",
    *(f"{group}s" for group in GROUPS),
}
COMMANDS: dict[str, Callable[[list[str], Registry], int]] = {
    **RUN_COMMANDS,
    **{f"{group}s": partial(_choices, group) for group in GROUPS},
    "experiments": _experiments,
    "help": _help,
    "completion": _completion,
}
