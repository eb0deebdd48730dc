"""What a word on the command line may become, for shells to offer; and the script by which each
shell asks.
"""

from collections.abc import Iterable
from glob import escape, glob
from itertools import product

from genbench.cli.help import names
from genbench.config.choice_files import GROUPS
from genbench.config.experiments import EXPERIMENT, experiments
from genbench.config.registry import Registry
from genbench.config.validation import known_settings
from genbench.settings.setting import Setting
from genbench.settings.sweep import SWEEP_OPTIONS
from genbench.verification.recipe import WHERE
from genbench.verification.recipes import read, sets

# Hydra's own flags worth offering, each with the words that may follow it.
FLAGS_IN_SHELLS = {
    "--help": (),
    "--version": (),
    "-m": (),
    "--multirun": (),
    "--cfg": ("job", "hydra", "all"),
    "--resolve": (),
    "--config-dir": (),
    "--hydra-help": (),
}

# Each prints one candidate per line. One that ends in a space is whole; any other goes on, as
# `model=` does. Without any, the shell offers files. Bash 3.2, which macOS has, knows neither
# mapfile nor compopt.
SCRIPTS = {
    "bash": """\
_genbench() {
    local line=${COMP_LINE:0:COMP_POINT} words word typed candidate
    read -ra words <<< "$line"  # not COMP_WORDS, which are split at = and : too
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]}
    typed=${word%"${word##*[ $COMP_WORDBREAKS]}"}  # bash replaces only what follows
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate#"$typed"}")
    done < <("${words[0]}" completion -- "${words[@]:1}" 2>/dev/null)
}
complete -o nospace -o bashdefault -o default -F _genbench genbench""",
    "zsh": """\
_genbench() {
    local -a found
    found=(${(f)"$($words[1] completion -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then
        compadd -S '' -- ${found:#* }
        compadd -- ${${(M)found:#* }% }
    else
        compset -P '*='
        _files
    fi
}
compdef _genbench genbench""",
    "fish": """\
function __genbench
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l found ($words[1] completion -- $words[2..-1] "$word" 2>/dev/null | string trim --right)
    if test -n "$found"
        printf '%s\\n' $found
    else
        __fish_complete_path "$word"
    end
end
complete -c genbench -f -a '(__genbench)'""",
}


def candidates(
    before: list[str], word: str, registry: Registry, commands: Iterable[str]
) -> list[str]:
    """What `word`, which may be empty, may become after the words before it.

    One that is whole ends in a space.
    """
    if before and FLAGS_IN_SHELLS.get(before[-1]):
        found = _whole(FLAGS_IN_SHELLS[before[-1]])
    elif before and before[0] in commands:
        found = _arguments(before[0], before[1:], word, registry) + _whole(
            FLAGS_IN_SHELLS
        ) * word.startswith("-")
    elif word.startswith("-"):
        found = _whole(FLAGS_IN_SHELLS)
    elif "=" in word:
        found = _values(before, word, registry)
    else:
        found = _settings(before, registry) + ([] if before else _whole(commands))
    return sorted(c for c in found if c.startswith(word))


def _whole(words: Iterable[str]) -> list[str]:
    return [f"{word} " for word in words]


def _settings(before: list[str], registry: Registry) -> list[str]:
    given = {_name(word) for word in before}
    return [
        f"{name}=" for name in [*GROUPS, EXPERIMENT, *_known(before, registry)] if name not in given
    ]


def _values(before: list[str], word: str, registry: Registry) -> list[str]:
    """The word with each value that its setting may have, or have next in a list of values to
    sweep over.
    """
    name, typed = _name(word), word.partition("=")[2]
    if name in GROUPS:
        values = registry.names(name)
    elif name == EXPERIMENT:
        values = experiments(registry)
    else:
        known = _known(before, registry)
        values = known[name].words() if name in known else []
    listed = typed.rpartition(",")[0].split(",") if "," in typed and "[" not in typed else []
    end = "" if {"-m", "--multirun"} & {*before} else " "  # a comma may follow
    start = word.partition("=")[0]
    return [f"{start}={','.join([*listed, value])}{end}" for value in values if value not in listed]


def _known(before: list[str], registry: Registry) -> dict[str, Setting]:
    """The settings that every one of the jobs has that the words before ask for."""
    given = {_name(word): word.partition("=")[2].split(",") for word in before}
    chosen = [
        [choice for choice in given.get(group, []) if choice in registry.names(group)]
        or [registry.default_choice(group)]
        for group in GROUPS
    ]
    first, *others = [
        known_settings(registry, model, dataset) for model, dataset in product(*chosen)
    ]
    known = {
        name: setting for name, setting in first.items() if all(name in other for other in others)
    }
    return known | (SWEEP_OPTIONS if {"-m", "--multirun"} & {*before} else {})


def _name(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def _arguments(command: str, before: list[str], word: str, registry: Registry) -> list[str]:
    if command in ARGUMENTS:
        return ARGUMENTS[command](before, word, registry)
    return _options(command, before, word, registry) if command in registry.names("command") else []


RUNS, SWEEPS = ("*/config.yaml", "*/*/config.yaml"), ("*/sweep_summary.json",)


def _folders(holding: Iterable[str], word: str, registry: Registry) -> list[str]:
    """Directories that hold such files, where they are by default or where the word leads."""
    outputs = registry.value("config", "hydra.run.dir").partition("$")[0]
    start = escape(outputs if outputs.startswith(word) else word)
    return _whole(file.rpartition("/")[0] for deep in holding for file in glob(f"{start}{deep}"))


def _resumed(before: list[str], word: str, registry: Registry) -> list[str]:
    """Directories of runs, sweeps and their runs; then what may change."""
    changes = ["epochs=", "steps=", "device=", "jobs=", "together="]
    return changes if before else _folders((*RUNS, *SWEEPS), word, registry)


def _options(command: str, before: list[str], word: str, registry: Registry) -> list[str]:
    """Directories of runs; then the options of a command on a run, and their values but for
    folders, which shells know.
    """
    if not before:
        return _folders(RUNS, word, registry)
    known, given, name = (
        registry.settings(f"command/{command}"),
        {_name(word) for word in before},
        _name(word),
    )
    if "=" not in word:
        return [f"{name}=" for name in known if name not in given]
    if name not in known or known[name].is_path:
        return []
    return [f"{name}={value} " for value in known[name].words()]


def _reported(before: list[str], word: str, registry: Registry) -> list[str]:
    """Directories of runs and sweeps, and where the report may go."""
    return _folders((*RUNS, *SWEEPS), word, registry) + ["report.dir="]


def _listed(before: list[str], word: str, registry: Registry) -> list[str]:
    """Folders of sweeps, as one lists the rest by default, and the measures to show."""
    return _folders(SWEEPS, word, registry) + ["metrics="]


def _recipes(before: list[str], word: str, registry: Registry) -> list[str]:
    """Recipes, their sets, and the settings that say where to run them."""
    if "=" in word:
        return _values([], word, registry)
    recipes = read(registry)
    return _whole({"--list", *recipes, *sets(recipes)} - set(before)) + [
        f"{name}=" for name in WHERE
    ]


ARGUMENTS = {
    "resume": _resumed,
    "report": _reported,
    "status": lambda before, word, registry: [] if before else _folders(SWEEPS, word, registry),
    "ls": _listed,
    "compare": lambda before, word, registry: [
        run for run in _folders(RUNS, word, registry) if run.strip() not in before
    ],
    "show": lambda before, word, registry: [] if before else _folders(RUNS, word, registry),
    "evaluate": lambda before, *rest: (
        _options("evaluate", before, *rest) + _whole(["--list"] * (not before))
    ),
    "verify": _recipes,
    "help": lambda before, word, registry: _whole(
        {*names(registry), *registry.names("command")} - set(before)
    ),
    "completion": lambda before, word, registry: [] if before else _whole(SCRIPTS),
}
