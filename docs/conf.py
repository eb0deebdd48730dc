"""How Sphinx builds the documentation: `sphinx-build -W docs FOLDER`."""

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


def escape_stars(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Keep a star outside of backticks, as in the shape [n, *shape], from starting emphasis."""
    for i, line in enumerate(lines):
        spans = line.split("`")
        spans[::2] = [span.replace("*", "\\*") for span in spans[::2]]
        lines[i] = "`".join(spans)


def setup(app: Sphinx) -> None:
    """Connect what docstrings need."""
    app.connect("autodoc-process-docstring", escape_stars)
