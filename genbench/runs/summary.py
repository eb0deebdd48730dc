"""The results of a run on the console: a line, a screen, or all of its numbers."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from genbench.runs.directory import SPLITS, in_words
from genbench.utils.schema import is_unknown, kind_of, least_shown, of_terms, total_of
from genbench.utils.text import aligned, counted, duration, number, quoted

MOST_HEADLINES = 8  # measures at the end of a run
MOST_DIAGNOSIS_LINES = 4  # of the first diagnosis at the end of a run


def parts_of(found: dict) -> dict[str, dict]:
    """The numbers in the content of metrics.json, by part of the data."""
    return {part: found[part] for part in SPLITS if part in found}


def objective(found: dict) -> list[str]:
    """Lines with what training lowers on each part of the data, and its held-out terms."""
    parts, criterion = parts_of(found), found.get("cost", {}).get("criterion")
    held_out = next((part for part in ("test", "validation", "train") if part in parts), None)
    if held_out is None:
        return []
    values = ", ".join(
        f"{number(numbers[criterion])} {part}"
        for part, numbers in parts.items()
        if criterion in numbers
    )
    others = ", ".join(
        f"{name} {number(value)}"
        for name, value in parts[held_out].items()
        if name not in ("n", criterion)
    )
    lines = [f"objective{of_terms(found)}: {criterion} {values}"] * bool(values)
    return lines + [f"terms on {held_out} data: {others}"] * bool(others)


def headline_entries(found: dict, names: Iterable[str]) -> list[dict]:
    """The newest number of each of these measures in a card, in the order of the names."""
    card = newest(found.get("card", []))
    known = [card[name] for name in names if name in card and card[name]["group"] != "cost"]
    return [entry for entry in known if not is_unknown(entry)][:MOST_HEADLINES]


def brief_run(found: dict, names: Iterable[str]) -> list[str]:
    """A run in few words: its objective on held-out data, then a headline measure of each group."""
    parts, criterion = parts_of(found), found.get("cost", {}).get("criterion")
    values = [
        f"{criterion} {number(parts[part][criterion], 4)}"
        for part in ("test", "validation", "train")
        if criterion in parts.get(part, {})
    ]
    firsts: dict[str, dict] = {}
    for entry in headline_entries(found, names):
        firsts.setdefault(entry["group"], entry)
    order = sorted(
        firsts.values(), key=lambda entry: entry["group"] != "samples"
    )  # which every model that generates has
    return values[:1] + [entry_in_words(entry) for entry in order[:2]]


def entry_in_words(entry: dict) -> str:
    """The name and the number of an entry of a card."""
    return f"{entry['name']} {entry_value(entry, 4)}"


def headline(title: str, found: dict, state: str = "done") -> str:
    """The title of a run with its seed, state and duration, and how much was measured."""
    if "seed" in found and not re.search(r"(?<![.\w])seed=", title):
        title += f", seed {found['seed']}"
    epochs, seconds = found.get("cost", {}).get("epochs"), found.get("time", {}).get("seconds")
    took = [counted(epochs, "epoch")] if epochs is not None else []
    took += [duration(seconds)] if seconds is not None else []
    samples = max((entry["n"].get("samples", 0) for entry in found.get("card", [])), default=0)
    points = found.get("test", {}).get("n")
    sizes = [counted(points, "test point")] if points is not None else []
    sizes += [counted(samples, "sample")] if samples else []
    return (
        f"{title}: {state}"
        + f" ({', '.join(took)})" * bool(took)
        + f"; {', '.join(sizes)}" * bool(sizes)
    )


def show_result(
    console: Console,
    title: str,
    folder: Path,
    found: dict,
    names: Iterable[str],
    pictures: list[str],
    look: str,
    own_words: Sequence[str] = (),
) -> None:
    """A finished run on at most 24 lines of 80 columns: objective, measures, first diagnosis.

    `names` are the headline measures, `pictures` the files in the folder, and `look` is a command
    that shows them. `own_words` are what a command on the folder needs, as one types it.
    """
    _wrapped(console, headline(title, found), 2)
    for line in objective(found):
        _wrapped(console, line, 2)
    shown = headline_entries(found, names)
    if shown:
        real = newest(found.get("real_data", []))
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column("", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
        table.add_column("95 %", no_wrap=True)
        if real:
            table.add_column("real data", justify="right", no_wrap=True)
        for entry in shown:
            yardstick = [entry_value(real[entry["name"]]) if entry["name"] in real else ""]
            table.add_row(*entry_cells(entry), *yardstick * bool(real))
        console.print(table)
    card = found.get("card", [])
    faults = [
        finding
        for finding in found.get("diagnosis", [])
        if isinstance(finding, str) or finding["kind"] != "note"
    ]
    if faults:
        _wrapped(console, f"diagnosis: {in_words(faults[0])}", MOST_DIAGNOSIS_LINES)
    elif "diagnosis" in found:
        console.print("diagnosis: nothing seems wrong", markup=False)
    about = " ".join([quoted(folder), *own_words])
    if card:
        unsaid = len(remarks(found)) - bool(faults)
        more = f" and {counted(unsaid, 'more remark' if faults else 'remark')}" if unsaid else ""
        console.print(
            f"all {counted(len(card), 'measure')}{more}: genbench show {about}",
            markup=False,
        )
    else:
        console.print(f"to measure more: genbench evaluate {about}", markup=False)
    if pictures:
        others = f" and {len(pictures) - 1} more" * (len(pictures) > 1)
        console.print(f"pictures: {quoted(folder / pictures[0])}{others}", markup=False)
    console.print(f"look: {look}", markup=False)


def show_run(console: Console, title: str, found: dict, state: str = "done") -> None:
    """Print all numbers of a measured run: terms by part of the data, report card, diagnosis."""
    parts = parts_of(found)
    names = dict.fromkeys(name for numbers in parts.values() for name in numbers)
    values = [
        [name, *(number(numbers[name]) if name in numbers else "" for numbers in parts.values())]
        for name in names
    ]
    console.print(Text(headline(title, found, state), "bold"))
    if values and of_terms(found):
        console.print(f"terms of the objective{of_terms(found)}:", markup=False)
    for line in aligned([["", *parts], *values], "<" + ">" * len(parts)):
        console.print(line, markup=False)
    show_card(console, found)


def show_card(console: Console, found: dict) -> None:
    """Print a report card with a line for each measure, its value on real data, and the diagnosis.

    What numbers were measured on is printed once above all of a group that share it.
    """
    card, real = found.get("card", []), newest(found.get("real_data", []))
    if card:
        blocks: dict[str, dict[str, list[dict]]] = {}
        for entry in card:
            blocks.setdefault(entry["group"], {}).setdefault(entry_basis(entry), []).append(entry)
        entries = [entry for block in blocks.values() for some in block.values() for entry in some]
        rows = [["", "value", "95 %", *["real data"] * bool(real)]]
        for entry in entries:
            yardstick = [entry_value(real[entry["name"]]) if entry["name"] in real else ""]
            name, *cells = entry_cells(entry)
            rows.append([f"  {name}", *cells, *yardstick * bool(real)])
        head, *lines = aligned(rows, "<><>")
        console.print(
            "report card (↑ higher is better, ↓ lower; meanings: genbench evaluate --list)",
            markup=False,
        )
        console.print(head, markup=False)
        left = iter(lines)
        for group, block in blocks.items():
            for basis, some in block.items():
                text = ": ".join(filter(None, [group, basis]))
                for line in textwrap.wrap(
                    text, min(console.width, 100), subsequent_indent="    ", break_on_hyphens=False
                ):
                    console.print(Text(line, "bold"))
                for _ in some:
                    console.print(next(left), markup=False)
    for line in remarks(found):
        console.print(line)


def remarks(found: dict) -> list[str]:
    """What seems to be wrong, the most important first."""
    findings, said = found.get("diagnosis", []), found.get("remarks", [])
    return [f"diagnosis: {in_words(finding)}" for finding in findings] + [
        f"remark: {text}" for text in said
    ]


def newest(card: list[dict]) -> dict[str, dict]:
    """The entries of a card by name; if several have one name, the last that was measured."""
    return {entry["name"]: entry for entry in card}


def _wrapped(console: Console, text: str, lines: int) -> None:
    """Print a text on at most so many lines of the console's width."""
    for line in textwrap.wrap(
        text, min(console.width, 100), max_lines=lines, placeholder=" ...", break_on_hyphens=False
    ):
        console.print(line, markup=False)


def show_measures(console: Console, measures: Iterable) -> None:
    """What each measure of a report card is."""
    for group, some in groupby(measures, lambda m: m.group):
        console.print(Text(f"\n{group}", "bold"))
        for m in some:
            better = f", {m.better} is better" if m.better else ""
            able = f"; of models that can {', '.join(m.needs)}" if m.needs else ""
            console.print(
                Padding(Text.assemble((m.name, "bold"), f" ({m.unit}{better}{able})"), (0, 0, 0, 2))
            )
            console.print(
                Padding(Text.assemble(m.meaning, (f" Source: {m.source}.", "dim")), (0, 0, 0, 6))
            )


def entry_cells(entry: dict) -> list[str]:
    """The name of a number, the number, and its interval."""
    return [_name(entry), entry_value(entry), _between(entry)]


def _name(entry: dict) -> str:
    """What a number is called, with an arrow towards what is better."""
    return entry["name"] + {"higher": " ↑", "lower": " ↓"}.get(entry["better"], "")


def _between(entry: dict) -> str:
    """The interval of a number."""
    if entry["low"] is None:
        return ""
    return f"{number(_shown(entry, 'low'))} to {number(_shown(entry, 'high'))}"


def _shown(entry: dict, key: str) -> float:
    """The number of an entry, or an end of its interval, for people to read."""
    return max(entry[key], least_shown(entry["unit"], entry["better"]))


def entry_value(entry: dict, digits: int = 5) -> str:
    """The number of an entry of a card, with the total where it counts something."""
    total = total_of(entry)
    out_of = "" if total is None else f" of {number(total)}"
    return number(_shown(entry, "value"), digits) + out_of


def sizes(n: dict[str, int]) -> str:
    """What a number was measured from, in words."""
    if len(n) > 1 and len({*n.values()}) == 1:
        return f"{next(iter(n.values())):,} each"  # as many samples as test points
    return ", ".join(f"{size:,} {what}" for what, size in n.items())


def conditions(entry: dict) -> str:
    """What two numbers of one name must agree in to be compared, in words."""
    on = "" if entry["on"] in entry["n"] else entry["on"]
    total = total_of(entry)
    of_total = "" if total is None else f"of {number(total)}"
    terms = [on, sizes(entry["n"]), entry["features"], of_total, kind_of(entry)]
    return ", ".join(filter(None, terms))


def entry_basis(entry: dict) -> str:
    """What a number was measured on, from and by, in words."""
    on = "" if entry["on"] in entry["n"] or not entry["n"] else f"on {entry['on']} data"
    features = entry["features"] and (
        entry["features"] if "features" in entry["features"] else f"by their {entry['features']}"
    )
    return ", ".join(filter(None, [_sizes(entry["n"]), on, features, kind_of(entry)]))


COUNTED = {"test": "test point", "train": "training point", "validation": "validation point"}


def _sizes(n: dict[str, int]) -> str:
    """How many of what a number was measured from."""
    return ", ".join(counted(size, COUNTED.get(what, what.rstrip("s"))) for what, size in n.items())
