"""The command line: checks what was asked for without importing torch, then hands over to Hydra.

    genbench [-m] [SETTING=VALUE ...]     one run, or with -m every combination
    genbench --cfg job [SETTING=VALUE...] its settings, without running it
    genbench resume RUN_DIR [epochs=N]    go on where a run or a sweep stopped; on another device with device=cpu
    genbench show RUN_DIR                 every number of a finished run, as it was measured
    genbench evaluate RUN_DIR [k=N]       measure a finished run anew: evaluation=quick, metrics=fid,ndb
    genbench sample RUN_DIR [n=N]         draw a finished run's samples: a picture, and arrays
    genbench reconstruct RUN_DIR [n=N]    likewise points of its data, encoded and decoded
    genbench interpolate RUN_DIR [n=N]    what lies between the codes of two points
    genbench traverse RUN_DIR [steps=N]   what each latent does
    genbench report FOLDER...             a table, charts and a page of the runs in it; report.dir=FOLDER for them
    genbench verify [NAME|SET ...]        prove the models' numbers by recipes; --list shows them
    genbench models                       what there is to train
    genbench datasets                     what there is to train on
    genbench help NAME                    all of a model, dataset or setting
    genbench --help                       every setting: meaning, range, default
    genbench completion bash|zsh|fish     a script that lets TAB complete this

Exit status: 0 all done, 1 a run failed, 2 the request is wrong, 129, 130 and 143 stopped by SIGHUP, SIGINT and SIGTERM.
"""

import errno
import io
import os
import re
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from itertools import takewhile
from pathlib import Path

from genbench import __version__
from genbench.cli.completion import SCRIPTS, candidates
from genbench.cli.help import choices_help, command_help, name_help, names, settings_help
from genbench.config.registry import GROUPS, Registry, builtin_registry
from genbench.config.settings import nearest
from genbench.runs.directory import LENGTH
from genbench.utils import signals
from genbench.utils.errors import UserError, report, unexpected
from genbench.utils.output import Output

USAGE = __doc__.partition("\n\n")[2].partition("\n\nExit")[0]


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    argv = sys.argv[1:] if argv is None else argv
    signals.listen()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # say what an ASCII terminal cannot show, too
    out, err = (stream and Output(stream) for stream in (sys.stdout, sys.stderr))
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
    sys.exit(status)


def _status(argv: list[str]) -> int:
    """Run the command line, print the error if it fails, and return the exit status."""
    try:
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
    """Whether a command leaves no files, so that it has failed where its output cannot be written."""
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
    if flags & {"--help", "-h"}:
        return _help([word for word in words[:1] if word in COMMANDS], registry)
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:], registry)
    return _run(argv)


def _without_config_dir(argv: list[str]) -> tuple[list[str], str | None]:
    """The words without `--config-dir FOLDER`, which may stand anywhere before a `--`, and that folder."""
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


def _run(argv: list[str]) -> int:
    from hydra._internal.utils import get_args_parser

    from genbench.config.compose import check_request, quoted_words, require_no_files_of_hydra

    for word in takewhile(lambda word: word != "--", argv):
        name = word.lstrip("-").partition("=")[0]
        if word.startswith("--") and name in names(builtin_registry()):
            raise UserError(word, "settings are written without dashes", fix=f"{name}=VALUE")
    parser = get_args_parser()
    args = parser.parse_intermixed_args(argv)
    registry = builtin_registry(args.config_dir)
    flags = [word for word in argv if word not in args.overrides]
    args.overrides = quoted_words(args.overrides)
    jobs = (
        []
        if args.hydra_help or args.info or args.shell_completion
        else check_request(args, registry, COMMANDS)
    )
    if args.cfg == "job" and not args.resolve:
        flags.append("--resolve")  # show the values themselves, not what they depend on
    told = {name for name, value in vars(args).items() if value != parser.get_default(name)}
    if args.multirun and told <= {"overrides", "multirun", "config_dir"}:
        return _sweep(flags, args.overrides, jobs, registry)
    from genbench.sweeps.launch import launch

    if jobs and len(registry.folders) > 1:
        require_no_files_of_hydra(args.overrides, registry)
    return launch(
        [*flags, *args.overrides], registry
    )  # Hydra itself wants no flag between settings


def _sweep(flags: list[str], words: list[str], jobs: list[list[str]], registry: Registry) -> int:
    """Hydra's own way to run the jobs, one after another, is ours; whatever else it is told, it does itself."""
    from genbench.config.compose import is_hydras, require_no_files_of_hydra, sweep_folder, typed
    from genbench.sweeps.launch import launch
    from genbench.sweeps.sweep import run_elsewhere, run_sweep

    folder = sweep_folder(words, registry)
    if all(word.startswith("hydra.sweep.dir=") for word in words if is_hydras(word)):
        return run_sweep(words, jobs, folder, registry)
    choices = {tuple(word for word in job if word.partition("=")[0] in GROUPS) for job in jobs}
    for choice in choices if len(registry.folders) > 1 else ():
        require_no_files_of_hydra([*choice], registry)
    argv = [
        *flags,
        *words,
        f"hydra.sweep.dir={typed(str(folder))}",
    ]  # the same, now that it is known
    return run_elsewhere(lambda: launch(argv, registry), words, jobs, folder, registry)


def _resume(words: list[str], registry: Registry) -> int:
    if not words:
        raise UserError(
            "resume", "needs the directory of a run or a sweep", fix="genbench resume outputs/RUN"
        )
    from genbench.config.compose import given, recorded
    from genbench.runs.directory import is_sweep
    from genbench.sweeps.sweep import resume_sweep

    folder, changes, device = (
        Path(words[0]),
        [word for word in words[1:] if not word.startswith("device=")],
        None,
    )
    for word in words[1:]:
        if word not in changes:
            device = registry.shared()["device"].check(word.partition("=")[2], {})
    if is_sweep(folder):
        if changes:
            raise UserError(
                changes[0],
                "a sweep is resumed as it is",
                fix=f"repeat its command with {changes[0]}",
            )
        return resume_sweep(folder, registry, device)
    config = recorded(folder, registry)
    for change in changes:
        key, _, value = change.partition("=")
        if key not in LENGTH or key not in config:
            raise UserError(
                key,
                "only epochs, steps or device may change when a run is resumed",
                change,
                "start a new run",
            )
        config |= {"epochs": "auto", "steps": None} if "steps" in config else {}
        config[key] = given(key, value)
    from genbench.sweeps.launch import execute

    execute(config, folder, registry, device=device)
    return 0


def _generate(command: str, words: list[str], registry: Registry) -> int:
    """A command of `generate`, for a run's folder and options."""
    from genbench.config.compose import options, recorded

    folder, chosen = options(command, words, registry)
    config = recorded(folder, registry)
    from genbench.cli.generate import generate

    return generate(command, config, folder, chosen, registry)


def _report(words: list[str], registry: Registry) -> int:
    from genbench.report.command import main

    return main(words, registry)


def _evaluate(words: list[str], registry: Registry) -> int:
    """Measure the card of a finished run; `--list` tells what there is to measure."""
    if words == ["--list"]:
        from genbench.evaluation.registry import measures
        from genbench.runs.summary import show_measures
        from genbench.utils.console import PipeSafeConsole

        show_measures(PipeSafeConsole(highlight=False), measures().values())
        return 0
    from genbench.config.compose import options, recorded

    folder, chosen = options("evaluate", words, registry)
    config = recorded(folder, registry)
    registry.let_import()
    from genbench.evaluation.context import Asked
    from genbench.experiment import evaluate
    from genbench.runs.progress import MeasuringDisplay
    from genbench.runs.summary import show_card
    from genbench.utils.text import quoted

    names = [name for name in (chosen.metrics or "").split(",") if name]
    asked = Asked(chosen.k, chosen.points, chosen.bins, chosen.level)
    with MeasuringDisplay() as display:
        made = evaluate(
            config, folder, chosen.evaluation, names, asked, display.measuring, chosen.device
        )
    show_card(display.console, made)
    display.console.print(f"saved in {quoted(folder / 'metrics.json')}", markup=False)
    return 0


def _show(words: list[str], registry: Registry) -> int:
    """Print all numbers of a finished run as they were measured."""
    from genbench.config.compose import recorded
    from genbench.report.load import printable
    from genbench.runs.directory import Record, is_sweep, read_metrics
    from genbench.runs.summary import show_run
    from genbench.sweeps.launch import run_title
    from genbench.utils.console import PipeSafeConsole
    from genbench.utils.text import quoted

    if len(words) != 1:
        raise UserError(
            "show",
            "needs the directory of one finished run",
            " ".join(words) or None,
            "genbench show outputs/RUN",
        )
    folder = Path(words[0])
    if is_sweep(folder):
        raise UserError(
            "show",
            "shows one run, and this is a sweep",
            str(folder),
            f"genbench report {quoted(folder)}",
        )
    try:
        config = recorded(folder, registry)
        Record(folder, config).require_unchanged()
        named = run_title(config, folder, registry)
    except UserError as error:
        if error.key not in GROUPS:
            raise
        named = (
            folder.resolve().name
        )  # the numbers are there even where nothing declares the model any more
    state = Record(folder, {}).status.get("state", "not on record")
    if state != "done" and not os.path.lexists(folder / "metrics.json"):
        raise UserError(
            str(folder),
            f"has no numbers to show, as the run is {state}",
            fix=f"genbench resume {quoted(folder)}",
        )
    found = printable(read_metrics(folder))
    show_run(PipeSafeConsole(highlight=False, soft_wrap=True), named, found)
    return 0


def _verify(words: list[str], registry: Registry) -> int:
    from genbench.verification.session import verify

    return verify(words, registry)


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
    """`SHELL` prints its script, which asks with `-- WORDS` what the last of the words may become."""
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


TELLING = {"show", "help", "completion", *(f"{group}s" for group in GROUPS)}
COMMANDS = {
    "resume": _resume,
    **{
        command: partial(_generate, command)
        for command in ("sample", "reconstruct", "interpolate", "traverse")
    },
    "report": _report,
    "show": _show,
    "evaluate": _evaluate,
    "verify": _verify,
    **{f"{group}s": partial(_choices, group) for group in GROUPS},
    "help": _help,
    "completion": _completion,
}
