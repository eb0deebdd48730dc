"""search.json: what a search has tried, in the folder of its sweep."""

from pathlib import Path
from typing import Any

from genbench.utils.files import read_json_or_empty
from genbench.utils.schema import component, is_finite_number, whole

SEARCH_FILE = "search.json"
TRIAL = {
    "number": whole,
    "settings": {str: str},
    "state": str,
    "values": [is_finite_number],
    "epochs": whole,
    "directory": component,
    "is_best": bool,
    "command": str,
}
SEARCH = {
    "goals": [{"name": str, "direction": str}],
    "settings": [str],
    "trials": [TRIAL],
    "importances": [{str: is_finite_number}],
}


def read_search(folder: Path) -> dict[str, Any]:
    """The content of search.json in a folder; empty if there is none, or not in this form."""
    return read_json_or_empty(folder / SEARCH_FILE, SEARCH)
