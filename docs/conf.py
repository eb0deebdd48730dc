"""How Sphinx builds the documentation: `sphinx-build -W docs FOLDER`."""

import re

from sphinx.application import Sphinx

from genbench import __version__

project = "genbench"
copyright = "the genbench authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = "genbench"
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]  # as GitHub renders formulas
myst_heading_anchors = 3

default_role = "code"  # docstrings write `name`, as Markdown does
autodoc_member_order = "bysource"
autodoc_typehints = "description"


COLUMNS = re.compile(r"\w+(, \w+)*  +\S")  # a line of a table of names and meanings


def as_rst(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Translate plain text in docstrings: shapes such as [n, *shape], and tables in columns."""
    result: list[str] = []
    table = False
    for before, line in zip(["", *lines], lines):
        if not before and COLUMNS.match(line):
            table = True
            result += ["::", ""]
        table = table and bool(line)
        if table:
            result.append(f"    {line}")
            continue
        spans = line.split("`")
        spans[::2] = [span.replace("*", "\\*") for span in spans[::2]]
        result.append("`".join(spans))
    lines[:] = result


def setup(app: Sphinx) -> None:
    """Connect the translation of docstrings."""
    app.connect("autodoc-process-docstring", as_rst)
