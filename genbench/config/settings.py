"""Settings: what each may be, read from the one commented line in configs/ that declares it.

A declaration is a YAML value followed by a comment, `beta: 1.0  # float >= 0: weight of the KL term`: the default,
what is allowed, and the meaning. --help, the check of the command line and the check of a composed config all read
these lines, so a setting is described in one place. Nothing here imports torch.

What is allowed is one or more of these, separated by ` | `:
    int, float      finite, with an optional bound: `>= 0`, `> 0`, `<= 1`, `< 1`, `in [0, 1)`
    bool, text, null
    folder          kept as an absolute path, so that a run goes on from anywhere
    list of ...     any of the others; `list of 2 ...` of so many
    any other word  itself (`auto`, `3`); a capital N in it stands for a number (`cuda:N`)
and each may end in ` if NAME=VALUE`, for what is allowed only beside that value of another setting. Where every one
does and none holds, the setting has no effect, and may only stay at its default.

A default of null where null is not allowed says that the setting must be given. A default that goes with another
setting is written `${by:network,{mlp:1.0,conv:10.0}}`; the first is the usual one.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from genbench.utils.errors import UserError

DECLARED = re.compile(
    r"^(?P<indent> *)(?P<key>[\w-]+):(?P<value>.*?)\s+# (?P<allowed>\S.*?): (?P<meaning>\S.*)$"
)
NUMBER = re.compile(
    r"(?P<type>int|float)(?: (?P<op>>=|>|<=|<) (?P<bound>\S+)| in (?P<open>[\[(])(?P<low>\S+), (?P<high>\S+)(?P<close>[\])]))?"
)
VARYING = re.compile(r"\$\{by:(?P<name>[\w.]+),(?P<choices>\{.*\})\}")
FIXED = {
    "model.name",
    "model.class",
    "dataset.name",
    "dataset.loader",
    "dataset.kind",
}  # set by a YAML file, not by a user
COMPARE = {
    ">=": lambda v, b: v >= b,
    ">": lambda v, b: v > b,
    "<=": lambda v, b: v <= b,
    "<": lambda v, b: v < b,
}


class Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as it is to Hydra."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
)


class Settings(dict):
    """A model's or dataset's settings, read as attributes; `lambda`, a word of Python, as `s["lambda"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Varying:
    """A default that depends on what another setting is."""

    name: str
    choices: tuple[tuple[str, Any], ...]

    def beside(self, others: Mapping[str, Any]) -> Any:
        """The default beside these other settings."""
        return dict(self.choices).get(str(others.get(self.name)), self.usual)

    @property
    def usual(self) -> Any:
        """The default where nothing else is known."""
        return self.choices[0][1]


@dataclass(frozen=True)
class Setting:
    """One declared setting: dotted name, what it may be, what it means, its default and the file that declares it."""

    name: str
    allowed: str
    meaning: str
    default: Any
    file: str

    @property
    def alternatives(self) -> list[tuple[str, str]]:
        """What is allowed, one by one, each with the `NAME=VALUE` beside which it is, or "" where it always is."""
        return [alternative.partition(" if ")[::2] for alternative in self.allowed.split(" | ")]

    def in_force(self, others: Mapping[str, Any]) -> list[str]:
        """What is allowed beside these other settings; nothing where the setting has no effect."""
        return [kind for kind, condition in self.alternatives if _holds(condition, others)]

    def check(self, value: Any, others: Mapping[str, Any]) -> Any:
        """The value in its declared type (4 becomes 4.0 for a float); UserError if it is not allowed beside the others."""
        in_force = self.in_force(others)
        for kind in in_force:
            try:
                return _kind(kind)(value)
            except (ValueError, OverflowError):
                continue
        if not in_force:
            if value == self.default:
                return value
            conditions = list(dict.fromkeys(condition for _, condition in self.alternatives))
            other = conditions[0].partition("=")[0]
            what = f"has no effect with {other}={others.get(other)}"
            raise UserError(
                self.name, what, written(value), f"leave it out, or set {' or '.join(conditions)}"
            )
        if value is None and self.required:
            raise UserError(self.name, f"must be given: {self.meaning}", fix=self.example)
        near = get_close_matches(str(value), self.words(), n=1) or [written(self.default)]
        raise UserError(
            self.name,
            f"must be {self.in_words(others)}",
            written(value),
            f"such as {self.name}={near[0]}",
        )

    def in_words(self, others: Mapping[str, Any] | None = None) -> str:
        """What is allowed, and beside which settings; conditions that the others meet go unsaid."""
        conditions: dict[str, list[str]] = {}
        for kind, condition in self.alternatives:
            conditions.setdefault(kind, []).append(
                "" if _holds(condition, others or {}) else condition
            )
        kinds: dict[str, list[str]] = {}
        for kind, beside in conditions.items():
            kinds.setdefault("" if "" in beside else " or ".join(beside), []).append(kind)
        link = " with " if "" in kinds else ", only with "
        return ", or ".join(
            " | ".join(some) + (link + beside if beside else "") for beside, some in kinds.items()
        )

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is None and "null" not in [kind for kind, _ in self.alternatives]

    @property
    def example(self) -> str:
        """How a setting without a default is given."""
        return f"{self.name}={self.alternatives[0][0].upper()}"

    def words(self) -> list[str]:
        """Values one need not invent, as they are typed: the words that are allowed, and the default."""
        found = []
        for kind, _ in self.alternatives:
            if kind == "bool":
                found += ["true", "false"]
            elif (
                kind not in ("text", "folder")
                and not NUMBER.fullmatch(kind)
                and not kind.startswith("list of ")
            ):
                found.append(kind.replace("N", "0"))
        return list(dict.fromkeys([*found, *([] if self.required else [written(self.default)])]))


def written(value: Any) -> str:
    """A value as one types it on the command line."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(written(v) for v in value)}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


# What others call a setting, without regard to case, dashes and underscores.
SYNONYMS = {
    "lr": "learningrate stepsize rate",
    "batch_size": "bs batch batchsize minibatch minibatchsize",
    "epochs": "epoch nepochs numepochs maxepochs nepoch passes",
    "steps": "nsteps numsteps maxsteps iterations iters niter maxiter",
    "latent_dim": "zdim z latent latents latentsize nlatent nlatents codesize codedim bottleneck dim",
    "n_components": "k clusters nclusters numclusters components numcomponents centers",
    "hidden": "hiddendim hiddendims hiddensize hiddensizes hiddenlayers layers units width",
    "beta": "klweight kl kld",
    "seed": "randomseed randomstate rngseed",
    "optimizer": "optim opt optimiser",
    "momentum": "mom",
    "weight_decay": "wd l2",
    "activation": "act nonlinearity activationfn",
    "schedule": "scheduler lrscheduler lrschedule",
    "patience": "earlystopping earlystop",
    "device": "gpu cuda accelerator",
    "dataset": "data",
    "dataset.root": "datadir datapath datafolder path folder",
    "dataset.limit": "nsamples numsamples nsample subset",
    "dataset.val_size": "valsplit validationsplit valfraction",
    "dataset.test_size": "testsplit testfraction",
    "n_critic": "ncritics criticsteps criticiters",
}


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that was probably meant: the same but for its case, its dashes and what stands before its
    dot, what others call it, or spelt alike."""
    names, bare = list(names), _bare(name)
    same = [n for n in names if n.rpartition(".")[2] == name] or [
        n for n in names if bare in (_bare(n), _bare(n.rpartition(".")[2]))
    ]
    called = [n for n in names if bare in SYNONYMS.get(n, "").split()]
    alike = get_close_matches(name.lower(), [n.lower() for n in names], n=1)
    return next(iter(same or called or [n for n in names if n.lower() in alike]), None)


def _bare(name: str) -> str:
    return re.sub(r"[-_. ]", "", name.lower())


def _holds(condition: str, others: Mapping[str, Any]) -> bool:
    name, _, wanted = condition.partition("=")
    return not condition or str(others.get(name)) == wanted


def _kind(text: str) -> Callable[[Any], Any]:
    """The function that accepts (and converts) the values one alternative allows; ValueError for others."""
    listed = re.fullmatch(r"list of (\d+ )?(.*)", text)
    if listed:
        length, item = listed[1], _kind(listed[2])

        def a_list(value):
            if not isinstance(value, (list, tuple)) or (length and len(value) != int(length)):
                raise ValueError
            return [item(v) for v in value]

        return a_list
    number = NUMBER.fullmatch(text)
    if number:
        return lambda value: _number(value, **number.groupdict())
    return lambda value: _word(value, text)


def _number(value, type, op, bound, open, low, high, close):
    if isinstance(value, bool) or not isinstance(value, (int, float) if type == "float" else int):
        raise ValueError
    if not math.isfinite(value):
        raise ValueError
    bounds = [(op, bound)] if op else []
    if open:
        bounds = [(">=" if open == "[" else ">", low), ("<=" if close == "]" else "<", high)]
    as_type = int if type == "int" else float
    if not all(COMPARE[op](value, as_type(bound)) for op, bound in bounds):
        raise ValueError
    return as_type(value)


def _word(value, word):
    matches = {
        "null": value is None,
        "bool": isinstance(value, bool),
        "text": isinstance(value, str),
        "folder": isinstance(value, str),
    }
    if word in matches:
        if not matches[word]:
            raise ValueError
        return os.path.abspath(os.path.expanduser(value)) if word == "folder" else value
    if not re.fullmatch(re.escape(word).replace("N", r"\d+"), str(value)):
        raise ValueError
    return int(word) if word.isdecimal() else value


def declarations(lines: list[str], values: dict[str, Any], file: str) -> dict[str, Setting]:
    """The settings that a file's lines declare, by dotted name; `values` are its values by dotted name."""
    found, parents = {}, {0: ""}
    for line in lines:
        opening = re.match(r"^( *)([\w-]+):\s*(#.*)?$", line)
        if opening:
            depth = len(opening[1])
            parents[depth + 2] = f"{parents.get(depth, '')}{opening[2]}."
        match = DECLARED.match(line)
        if match:
            name = parents.get(len(match["indent"]), "") + match["key"]
            found[name] = Setting(name, match["allowed"], match["meaning"], values.get(name), file)
    return found


def varying(value: Any) -> Any:
    """A value as a YAML file has it; one that goes with another setting as what it stands for."""
    match = VARYING.fullmatch(value) if isinstance(value, str) else None
    return (
        Varying(match["name"], tuple(yaml.safe_load(match["choices"].replace(":", ": ")).items()))
        if match
        else value
    )


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
