"""The generator of mutants: what it changes and what it leaves alone."""

import ast
import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = importlib.util.spec_from_file_location("mutants", ROOT / "scripts" / "mutants.py")
mutants = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mutants)

SOURCE = '''
@decorated(1)
def f(x: Literal[2]) -> Literal[3]:
    """Says 4."""
    log(x)
    if not x < 5 and flag:
        raise ValueError(6)
    return x * 7
'''


def test_every_kind_of_node_is_changed_and_annotations_and_errors_are_not(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(SOURCE)
    lines = {line for m in mutants.mutants(file) for line in m.diff.split("\n") if line[0] == "+"}
    assert lines == {
        "+    pass",
        "+    if (x < 5) and flag:",
        "+    if not (x <= 5) and flag:",
        "+    if not x < 6 and flag:",
        "+    if (not x < 5 or flag):",
        "+    return None",
        "+    return (x / 7)",
        "+    return x * 8",
    }
    assert all(ast.parse(m.after) for m in mutants.mutants(file))


def test_every_module_that_tests_are_listed_for_exists():
    for name, tests in mutants.TESTS.items():
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
        for test in tests:
            assert (ROOT / "tests" / test).exists(), test
