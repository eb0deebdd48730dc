"""Break the code in random places, one at a time, and see whether the tests notice.

    python scripts/mutants.py                                  two mutants of every module
    python scripts/mutants.py genbench/training --per-module 5 --seed 1
    python scripts/mutants.py genbench/training/em.py --list   show the mutants, run no tests

A mutant is a clone of the last commit in which one node of one module's syntax tree is changed: a
comparison, a boolean or arithmetic operator, a constant, a statement that is only a call, or a
returned value. The tests of a module are those that `TESTS` lists for it, else the test files that
import it, with the folder of its package if none of these is there. They must pass without a
mutant first. A mutant that passes them survives, and is reported with its diff; one that exceeds
the time limit counts as noticed. The exit status is 1 if a mutant survives, and 2 if the tests fail
without one.

mutmut does the same for functions without decorators, in a process that has imported the package.
Here many functions are decorated, and processes with torch's threads must not fork.
"""

import argparse
import ast
import copy
import difflib
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# By a module or a package: files and folders of tests, where those that import it are too many, too
# slow or none.
TESTS = {
    "genbench.training": ["training", "models/test_properties_of_losses.py"],
    "genbench.training.em": ["models/test_classical.py", "models/test_mixtures.py"],
    "genbench.models": [
        "models/test_classical.py", "models/test_mixtures.py", "models/test_objectives.py",
        "models/test_properties_of_losses.py",
    ],
    "genbench.nn": ["nn", "models/test_objectives.py"],
    "genbench.runs.checkpoints": [
        "runs/test_resume.py", "runs/test_damage.py", "integration/test_properties.py",
    ],
    "genbench.verification": ["verification"],
}  # fmt: skip
OPPOSITES: dict[type[ast.AST], Any] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div,
    ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.Mod: ast.Mult,
}  # fmt: skip


class Mutant(NamedTuple):
    """A module with one changed node: its file, the line of the change, and its source before and
    after.
    """

    file: Path
    line: int
    before: str
    after: str

    @property
    def diff(self) -> str:
        """The changed lines."""
        lines = difflib.unified_diff(
            self.before.split("\n"), self.after.split("\n"), n=1, lineterm=""
        )
        return "\n".join([*lines][2:])


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """Every way to change a node, without its children."""
    new: ast.AST
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPPOSITES:
        new = copy.deepcopy(node)
        new.ops[0] = OPPOSITES[type(node.ops[0])]()
        yield new
    elif isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in OPPOSITES:
        new = copy.deepcopy(node)
        new.op = OPPOSITES[type(node.op)]()
        yield new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.Invert)):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value and not isinstance(node.value, ast.Constant):
        yield ast.Return(ast.Constant(None))


def mutants(file: Path) -> list[Mutant]:
    """Every mutant of a module. Annotations, decorators and messages of errors are left alone."""
    before = file.read_text(encoding="utf-8")
    tree = ast.parse(before)
    found: list[Mutant] = []
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        unmutable: list[ast.AST | None] = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            unmutable += node.decorator_list
        if isinstance(node, ast.FunctionDef):
            unmutable += [node.returns]
        if isinstance(node, (ast.arg, ast.AnnAssign)):
            unmutable += [node.annotation]
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert)):
            unmutable += [node]
        skipped.update(part for top in unmutable if top for part in ast.walk(top))
    for node in ast.walk(tree):
        if node in skipped or not isinstance(node, (ast.expr, ast.stmt)):
            continue
        for new in changed(node):
            text = ast.unparse(new)
            found.append(Mutant(file, node.lineno, before, replaced(before, node, text)))
    return [mutant for mutant in found if mutant.after != before]


def replaced(source: str, node: ast.expr | ast.stmt, text: str) -> str:
    """The source with the text of one node replaced; expressions get parentheses."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    lines = source.encode().splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    new = f"({text})" if isinstance(node, ast.expr) and not isinstance(node, ast.Constant) else text
    return (source.encode()[:start] + new.encode() + source.encode()[end:]).decode()


def tests_of(file: Path) -> list[str]:
    """The test files for a module: those that `TESTS` lists for it or a package of it, else those
    that import it, and the folder of its package if none of these is there.
    """
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for name in sorted(TESTS, key=len, reverse=True):
        if f"{module}.".startswith(f"{name}."):
            return [f"tests/{test}" for test in TESTS[name]]
    package, _, name = module.rpartition(".")
    imports = re.compile(
        rf"^\s*(from|import) {re.escape(module)}\b|^from {re.escape(package)} import .*\b{name}\b",
        re.M,
    )
    files = sorted(ROOT.glob("tests/**/test_*.py"))
    importing = [str(f.relative_to(ROOT)) for f in files if imports.search(f.read_text("utf-8"))]
    folder = Path("tests", *file.relative_to(ROOT / "genbench").parts[:1])
    if (ROOT / folder).is_dir() and not any(Path(path).parent == folder for path in importing):
        importing.append(str(folder))
    return importing


def passes(tests: list[str], limit: float, mutant: Mutant | None = None) -> bool:
    """Whether these tests pass in a clone of the last commit, with the mutant's module in it.

    False also if they take longer than `limit` seconds. RuntimeError if pytest ran no test.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as top:
        tree = Path(top) / "tree"
        subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(tree)], check=True)
        if mutant is not None:
            (tree / mutant.file.relative_to(ROOT)).write_text(mutant.after, encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        command = [sys.executable, "-m", "pytest", *options, *tests]
        try:
            done = subprocess.run(
                command, cwd=tree, env=environment, timeout=limit, capture_output=True, text=True
            )
        except subprocess.TimeoutExpired:
            return False
        if "no tests ran" in done.stdout:
            raise RuntimeError(f"no test ran in {tests}: {done.stdout}{done.stderr}")
        return done.returncode == 0


def main() -> int:
    """Run what the command line asks for, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", default=["genbench"], help="modules or packages")
    parser.add_argument("--per-module", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds for the tests of a mutant"
    )
    parser.add_argument("-j", type=int, default=2, help="how many mutants at a time")
    parser.add_argument("--list", action="store_true", help="show the mutants only")
    options = parser.parse_args()
    files: set[Path] = set()
    for path in map(Path, options.paths):
        files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    chosen: list[Mutant] = []
    for file in sorted(path.resolve() for path in files):
        possible = mutants(file) if tests_of(file) else []
        rng = random.Random(f"{options.seed} {file.relative_to(ROOT)}")
        chosen += rng.sample(possible, min(options.per_module, len(possible)))
    if options.list:
        print("\n".join(f"{m.file.relative_to(ROOT)}:{m.line}\n{m.diff}" for m in chosen))
        return 0
    survivors = 0
    with ThreadPoolExecutor(options.j) as pool:
        # Tests that fail without a mutant would notice every one.
        sets = sorted({tuple(tests_of(mutant.file)) for mutant in chosen})
        sound = pool.map(lambda tests: passes([*tests], options.limit), sets)
        broken = [tests for tests, passed in zip(sets, sound, strict=True) if not passed]
        if broken:
            print("these fail, or exceed the time limit, without a mutant:", broken)
            return 2
        alive = pool.map(lambda m: passes(tests_of(m.file), options.limit, m), chosen)
        for mutant, survived in zip(chosen, alive, strict=True):
            survivors += survived
            place = f"{mutant.file.relative_to(ROOT)}:{mutant.line}"
            print(
                f"SURVIVED {place}\n{mutant.diff}" if survived else f"noticed {place}", flush=True
            )
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants were noticed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
