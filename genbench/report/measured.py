"""The content of metrics.json as typed values: numbers, what they measure, the diagnosis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from genbench.report.quantities import SAMPLES, Quantity, Value
from genbench.report.words import short
from genbench.runs.directory import SPLITS
from genbench.utils.schema import (
    OF_THE_PRIOR,
    STANDARDIZED_VALUES,
    is_finite_number,
    kind_of,
    total_of,
)
from genbench.utils.text import counted

POINTS = {"train": "training point", "validation": "validation point", "test": "test point"}


class Symptom(NamedTuple):
    """Something that may be wrong with a run: its kind, a sentence, and the setting to try."""

    kind: str
    text: str
    setting: str


@dataclass(frozen=True)
class RunMetrics:
    """The numbers of one finished run.

    `criterion_settings` are those that the criterion itself contains, as weights of its terms.
    `by_part` has the objective's terms by part of the data. `real` has the sample measures of
    training points in place of samples. `capabilities` is None where they are not known, and
    `digest` is "" where an earlier version did not store that of the data. `remarks` are what the
    model says about its fit, which is no fault.
    """

    criterion: str | None = None
    criterion_settings: tuple[str, ...] = ()
    by_part: dict[str, dict[str, float]] = field(default_factory=dict)
    cells: dict[Quantity, Value] = field(default_factory=dict)
    real: dict[Quantity, Value] = field(default_factory=dict)
    diagnosis: tuple[Symptom, ...] = ()
    remarks: tuple[str, ...] = ()
    digest: str = ""
    device: str = ""
    sampler: str = ""
    capabilities: frozenset[str] | None = None
    invertible: bool = False  # `decode` undoes `encode`, whatever was learnt
    fit_seconds: float | None = None
    has_card: bool = False
    has_whole_card: bool = False  # with every measure, not only those that somebody named

    @property
    def criterion_values(self) -> dict[str, float]:
        """The criterion by part of the data."""
        parts = {part: self.by_part.get(part, {}) for part in SPLITS}
        return {
            part: terms[self.criterion] for part, terms in parts.items() if self.criterion in terms
        }


def run_metrics(content: dict, model: str, settings: Mapping[str, Any]) -> RunMetrics:
    """The typed form of a metrics.json of the form `METRICS`, of a run with these settings."""
    by_part = {part: _numbers(content[part]) for part in SPLITS if part in content}
    cost, time, built = content["cost"], _numbers(content["time"]), content.get("model", {})
    inside = tuple(cost["criterion_contains"])
    weights = ", ".join(f"{name}={short(settings[name])}" for name in inside if name in settings)
    card = card_values(content.get("card", []))
    features = STANDARDIZED_VALUES if built.get("standardized") else ""
    cells = card | _terms(by_part, model, cost["criterion"], weights, features)
    measured = {quantity.name for quantity in cells}
    for group, name, values in (("time", "seconds", time), ("cost", "parameters", cost)):
        if name in values and name not in measured:
            cells[Quantity(name, group)] = Value(values[name])
    real = card_values(content.get("real_data", []))
    capabilities = built.get("abilities")
    return RunMetrics(
        criterion=cost["criterion"],
        criterion_settings=inside,
        by_part=by_part,
        cells=cells,
        real={quantity: value for quantity, value in real.items() if quantity.group == SAMPLES},
        diagnosis=tuple(_symptom(entry) for entry in content.get("diagnosis", [])),
        remarks=tuple(content.get("remarks", [])),
        digest=content.get("data", {}).get("digest") or "",
        device=content.get("machine", {}).get("device", ""),
        sampler=built.get("sampler") or str(settings.get("sampler", "")),
        capabilities=None if capabilities is None else frozenset(capabilities),
        invertible=built.get("invertible", False),
        fit_seconds=time.get("fit_seconds"),
        has_card=bool(card),
        has_whole_card=bool(card) and "diagnosis" in content,
    )


def card_values(card: list[dict]) -> dict[Quantity, Value]:
    """The numbers of a report card."""
    return {_quantity(entry): _value(entry) for entry in card}


def _quantity(entry: dict) -> Quantity:
    return Quantity(
        name=entry["name"],
        group=entry["group"],
        on=entry["on"],
        n=sizes_in_words(entry["n"]),
        features=entry["features"] or "",
        of=kind_of(entry).removesuffix(OF_THE_PRIOR),
        total=total_of(entry),
        unit=entry["unit"],
        better=entry["better"] if entry["better"] in ("lower", "higher") else "",
    )


def _value(entry: dict) -> Value:
    if entry["low"] is None or entry["high"] is None:
        return Value(entry["value"])
    return Value(entry["value"], entry["low"], entry["high"])


def sizes_in_words(n: Mapping[str, int]) -> str:
    """How many of what a number was measured from: 1,000 samples, 300 test points."""
    return ", ".join(
        counted(size, POINTS[what]) if what in POINTS else f"{size:,} {what}"
        for what, size in n.items()
    )


def _terms(
    by_part: dict[str, dict[str, float]],
    model: str,
    criterion: str | None,
    weights: str,
    features: str,
) -> dict[Quantity, Value]:
    """The objective's terms on held-out data, of what `features` says; the criterion is their sum
    with these weights.
    """
    part = next((part for part in reversed(SPLITS) if part in by_part), "")
    terms = dict(by_part.get(part, {}))
    n = sizes_in_words({part: int(terms.pop("n"))}) if "n" in terms else ""
    found = {}
    for name, value in terms.items():
        quantity = Quantity(name, part, model=model, n=n, features=features)
        if name == criterion:
            quantity = quantity._replace(better="lower", of=weights)
        found[quantity] = Value(value)
    return found


def _numbers(values: dict) -> dict[str, float]:
    """The values that are numbers: one that was not finite is stored as null."""
    return {name: value for name, value in values.items() if is_finite_number(value)}


def _symptom(entry: str | dict[str, str]) -> Symptom:
    """An entry of a diagnosis; earlier versions wrote a text, the advice after a semicolon."""
    if isinstance(entry, str):
        what, _, advice = entry.partition("; ")
        return Symptom(what, what, advice)
    return Symptom(entry["kind"], entry["text"], entry["setting"])
