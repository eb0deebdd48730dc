"""What tests read from a report."""

import csv
from html.parser import HTMLParser

from genbench.config.registry import builtin_registry
from genbench.report import charts, verdicts
from genbench.report.table import compared
from helpers.configs import config_of

COST = {
    **dict.fromkeys(("epochs", "steps", "kept_epoch", "parameters"), 1),
    "criterion": None,
    "criterion_contains": [],
}
VOID = {"meta", "img", "br", "link", "input", "wbr"}


def card(*entries, **more):
    """metrics.json with a report card; each entry a name, a value and what else is report of it."""
    usual = {
        "group": "samples",
        "low": None,
        "high": None,
        "n": {"samples": 100},
        "on": "test",
        "of": "",
        "unit": "",
        "better": "lower",
        "features": None,
    }
    return {
        "card": [usual | {"name": name, "value": value} | extra for name, value, extra in entries],
        "cost": {},
        **more,
    }


def only(report):
    """The section of a report on one dataset."""
    (section,) = report.sections
    return section


def best(report):
    """The row, among all, and the name of each measure that it is clearly best at."""
    rows = report.rows
    return {
        (next(k for k, row in enumerate(rows) if row is section.rows[i]), quantity.name)
        for section in report.sections
        for i, quantity in section.best
    }


def said(report):
    """All sentences of a report."""
    return [*verdicts.sentences(report)]


def sure(value, reach=0.01):
    """The ends of a narrow interval around a number."""
    return {"low": value - reach, "high": value + reach}


def read_csv(folder):
    with open(folder / "report.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """What a page consists of; raises where elements are not closed in order or lie where they may not."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.words = [], [], [], ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            assert self.open[-1] == "tr"
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data
        if {"td", "th"} & {*self.open}:
            self.tables[-1][-1][-1] += data


def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def pictures_in(root, **more):
    """The settings of a dataset of the pictures in a folder."""
    return {
        "dataset": config_of("pca", dataset="image-folder")["dataset"]
        | {"root": f"/pictures/{root}", **more}
    }


def drawing(sampler, *abilities):
    return {"model": {"sampler": sampler, "abilities": ["sample", *abilities]}}


def everywhere(folder, capsys):
    """What a report says on the terminal, as a page and as Markdown; and its lines as comma-separated values."""
    texts = [
        capsys.readouterr().out,
        page(folder).words,
        (folder / "report.md").read_text().replace("\\", ""),
    ]
    return [" ".join(text.split()) for text in texts], read_csv(folder)


def fault(kind, text="it is bad", setting=""):
    return {"kind": kind, "text": text, "setting": setting}


def drawn(folder):
    """What each chart shows: by name, its lines in the order drawn, as (x, y) of each point."""
    report = compared([folder], builtin_registry())
    return {
        name: [(*map(tuple, line.get_data()),) for axes in sheet.figure.axes for line in axes.lines]
        for name, sheet in charts.charts(report)
    }
