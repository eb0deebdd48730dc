"""The command line: checks what was asked for without importing torch, then hands over to Hydra.

    genbench [-m] [SETTING=VALUE ...]     one run, or with -m every combination
    genbench --cfg job [SETTING=VALUE...] its settings, without running it
    genbench resume RUN_DIR [epochs=N]    go on where a run or a sweep stopped
    genbench evaluate RUN_DIR [NAME=VALUE]  the report card of a finished run: evaluation=quick, metrics=fid,ndb, k=5000
    genbench verify [NAME|SET ...]        prove the models' numbers by recipes; --list shows them
    genbench models                       what there is to train
    genbench datasets                     what there is to train on
    genbench help NAME                    all of a model, dataset or setting
    genbench --help                       every setting: meaning, range, default
    genbench completion bash|zsh|fish     a script that lets TAB complete this

Exit status: 0 all done, 1 a run failed, 2 the request is wrong, 130 and 143 stopped by SIGINT and SIGTERM.
"""

import os
import signal
import sys
from functools import partial
from itertools import takewhile
from pathlib import Path

from . import __version__, interruption
from .completion import SCRIPTS, candidates
from .errors import UserError, report, unexpected
from .help import choices_help, name_help, names, settings_help
from .settings import GROUPS, Catalogue, check, nearest

USAGE = __doc__.partition("\n\n")[2].partition("\n\nExit")[0]


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    argv = sys.argv[1:] if argv is None else argv
    interruption.listen()
    try:
        sys.exit(_dispatch(argv))
    except UserError as error:
        report(error)
        sys.exit(error.code)
    except interruption.Interrupted as stopped:
        sys.exit(128 + stopped.signum)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone, as in `genbench --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        error = unexpected(error)
        report(error)
        sys.exit(error.code)


def _dispatch(argv: list[str]) -> int:
    words, config_dir = _without_config_dir(argv)
    flags = set(takewhile(lambda word: word != "--", words))
    if "--version" in flags:
        print(f"genbench {__version__}")
        return 0
    catalogue = builtin_catalogue(config_dir)
    if flags & {"--help", "-h"}:
        return _help([], catalogue)
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:], catalogue)
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
                raise UserError("--config-dir", "names no folder", fix="give one that holds model/ or dataset/")
        elif word.startswith("--config-dir="):
            folder = word.partition("=")[2]
        else:
            words.append(word)
    return words, folder


def builtin_catalogue(config_dir: str | None = None) -> Catalogue:
    """What the configs beside the package (a checkout) or in it (an installation) declare, after a user's own."""
    here = Path(__file__).resolve().parent
    configs = next(c for c in (here / "configs", here.parent / "configs") if (c / "config.yaml").is_file())
    if config_dir is None:
        return Catalogue([configs])
    if not Path(config_dir).is_dir():
        raise UserError("--config-dir", "no such folder", config_dir, "give a folder that holds model/ or dataset/")
    return Catalogue([Path(config_dir).resolve(), configs])


def _run(argv: list[str]) -> int:
    from hydra._internal.utils import get_args_parser

    from .request import check_request

    for word in takewhile(lambda word: word != "--", argv):
        name = word.lstrip("-").partition("=")[0]
        if word.startswith("--") and name in names(builtin_catalogue()):
            raise UserError(word, "settings are written without dashes", fix=f"{name}=VALUE")
    parser = get_args_parser()
    args = parser.parse_intermixed_args(argv)
    catalogue = builtin_catalogue(args.config_dir)
    jobs = [] if args.hydra_help or args.info or args.shell_completion else check_request(args, catalogue, COMMANDS)
    flags = [word for word in argv if word not in args.overrides]
    if args.cfg == "job" and not args.resolve:
        flags.append("--resolve")  # show the values themselves, not what they depend on
    told = {name for name, value in vars(args).items() if value != parser.get_default(name)}
    if args.multirun and told <= {"overrides", "multirun", "config_dir"}:
        return _sweep(flags, args.overrides, jobs, catalogue)
    from .launch import launch

    return launch([*flags, *args.overrides], catalogue)  # Hydra itself wants no flag between settings


def _sweep(flags: list[str], words: list[str], jobs: list[list[str]], catalogue: Catalogue) -> int:
    """Hydra's own way to run the jobs, one after another, is ours; whatever else it is told, it does itself."""
    from .launch import launch
    from .request import is_hydras, sweep_folder, typed
    from .sweep import run_elsewhere, run_sweep

    folder = sweep_folder(words, catalogue)
    if all(word.startswith("hydra.sweep.dir=") for word in words if is_hydras(word)):
        return run_sweep(words, jobs, folder, catalogue)
    argv = [*flags, *words, f"hydra.sweep.dir={typed(str(folder))}"]  # the same, now that it is known
    return run_elsewhere(lambda: launch(argv, catalogue), words, jobs, folder, catalogue)


def _resume(words: list[str], catalogue: Catalogue) -> int:
    if not words:
        raise UserError("resume", "needs the directory of a run or a sweep", fix="genbench resume outputs/RUN")
    from .request import recorded
    from .sweep import SUMMARY, resume_sweep

    folder, changes = Path(words[0]), words[1:]
    if (folder / SUMMARY).exists() and not (folder / "config.yaml").exists():
        if changes:
            raise UserError(changes[0], "a sweep is resumed as it is", fix=f"repeat its command with {changes[0]}")
        return resume_sweep(folder, catalogue)
    config = recorded(folder, catalogue)
    for change in changes:
        key, _, value = change.partition("=")
        if key != "epochs":
            raise UserError(key, "only epochs may change when a run is resumed", change, "start a new run")
        config["epochs"] = int(value) if value.isdecimal() else value
    from .launch import execute

    execute(config, folder, catalogue)
    return 0


def _evaluate(words: list[str], catalogue: Catalogue) -> int:
    """Measure the card of a finished run; `evaluation`, `metrics` and `k` say how much of it."""
    if not words:
        raise UserError("evaluate", "needs the directory of a finished run", fix="genbench evaluate outputs/RUN")
    if words == ["--list"]:
        from .card import measures
        from .console import Patient, show_measures

        show_measures(Patient(highlight=False), measures().values())
        return 0
    from .request import recorded

    folder, given = Path(words[0]), {}
    for word in words[1:]:
        name, _, value = word.partition("=")
        if name not in EVALUATED:
            raise UserError(name, "is not for an evaluation to change", word, f"choose from {', '.join(EVALUATED)}")
        given[name] = value
    size, k = given.get("evaluation", "full"), given.get("k")
    if size not in ("full", "quick"):
        raise UserError("evaluation", "must be full | quick", size, "such as evaluation=quick")
    if k is not None and not (k.isdecimal() and int(k) > 0):
        raise UserError("k", "must be int >= 1", k, "such as k=5000")
    config = check(recorded(folder, catalogue), catalogue)
    catalogue.let_import()
    from .console import Patient, show_card
    from .experiment import evaluate

    names = [name for name in given.get("metrics", "").split(",") if name]
    made = evaluate(config, folder, size, k and int(k), names)
    show_card(Patient(highlight=False, soft_wrap=True), made["card"], made.get("diagnosis", []))
    return 0


def _verify(words: list[str], catalogue: Catalogue) -> int:
    from .verify import verify

    return verify(words, catalogue)


def _choices(group: str, words: list[str], catalogue: Catalogue) -> int:
    if words:
        raise UserError(f"{group}s", f"lists every {group} and takes no settings", words[0], f"genbench {group}s, or genbench help NAME")
    print(choices_help(group, catalogue))
    return 0


def _help(words: list[str], catalogue: Catalogue) -> int:
    pages = [USAGE if word in COMMANDS else name_help(word, catalogue) for word in words]
    print("\n\n\n".join(pages) or settings_help(USAGE, catalogue))
    return 0


def _completion(words: list[str], catalogue: Catalogue) -> int:
    """`SHELL` prints its script, which asks with `-- WORDS` what the last of the words may become."""
    if words[:1] == ["--"]:
        *before, word = words[1:] or [""]
        before, config_dir = _without_config_dir(before)
        catalogue = builtin_catalogue(config_dir and os.path.expanduser(config_dir))  # the shell has not expanded it yet
        sys.stdout.writelines(f"{candidate}\n" for candidate in candidates(before, word, catalogue, COMMANDS))
        return 0
    shell = " ".join(words)
    if shell not in SCRIPTS:
        near = nearest(shell, SCRIPTS) or next(iter(SCRIPTS))
        raise UserError("completion", f"knows the shells {', '.join(SCRIPTS)}", shell or None, f"genbench completion {near}")
    print(SCRIPTS[shell])
    return 0


EVALUATED = ("evaluation", "metrics", "k")  # what `genbench evaluate` may be given

COMMANDS = {
    "resume": _resume,
    "evaluate": _evaluate,
    "verify": _verify,
    **{f"{group}s": partial(_choices, group) for group in GROUPS},
    "help": _help,
    "completion": _completion,
}
