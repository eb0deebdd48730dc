"""Write into recipes when they were last run and what they measured, as `genbench verify` found.

    python scripts/record_recipes.py outputs/verify_TIME/table.json

It sets `last_run` and `measured` in configs/recipe/NAME.yaml; recipes that ended with an error keep
what they have.
"""

import json
import re
import sys
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[1] / "configs" / "recipe"


def record(table: Path, folder: Path = RECIPES) -> list[str]:
    """Record every recipe of a table that was measured; returns their names."""
    facts = json.loads(table.read_text(encoding="utf-8"))
    measured = [row for row in facts["recipes"] if not row["error"]]
    for row in measured:
        file = folder / f"{row['name']}.yaml"
        text = re.sub(
            r"^(last_run|measured):.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        compared = (row["tolerance"] is not None or row["relative"] is not None) and not re.search(
            r"^expected:", text, re.MULTILINE
        )
        found = f"[{row['ours']:.6g}, {row['expected']:.6g}]" if compared else f"{row['ours']:.6g}"
        file.write_text(
            f'{text.rstrip()}\nlast_run: "{facts["date"][:10]}"\nmeasured: {found}\n',
            encoding="utf-8",
        )
    return [row["name"] for row in measured]


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        print(f"recorded {', '.join(record(Path(path))) or 'nothing'}")
