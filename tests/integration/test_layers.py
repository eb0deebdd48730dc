"""How the package is built: which package may import which, that imports make no cycle, and what nothing imports."""

import ast
import re
import sys
from pathlib import Path

import pytest

import genbench

ROOT = Path(genbench.__file__).parent
# From the bottom to the top: a package imports only those before it, and itself. Two on one line are independent.
LAYERS = [
    {"utils"},
    {"settings"},
    {"config"},
    {"data"},
    {"nn", "stats", "visualizations"},
    {"diffusion"},
    {"model"},
    {"training"},
    {"models"},
    {"evaluation", "figures"},
    {"runs"},
    {"notebook"},
    {"trained"},
    {"experiment"},
    {"report"},  # a sweep ends with one
    {"sweeps"},
    {"verification", "export"},
    {"api", "sklearn"},
    {"app"},
    {"cli"},
]
DISTRIBUTIONS = {  # of packages that are imported by another name
    "PIL": "pillow",
    "google": "protobuf",
    "mlflow": "mlflow-skinny",
    "hydra": "hydra-core",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules():
    """The syntax tree of every module by its dotted name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree, known):
    """The modules that a module imports anywhere in it: those of `known`, and others by their full names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module


def package(module):
    """The name by which `LAYERS` knows a module."""
    return (module.split(".") + [""])[1]


MODULES = modules()


@pytest.mark.parametrize("module", sorted(m for m in MODULES if package(m) in LEVEL))
def test_a_package_imports_only_those_below_it(module):
    own = LEVEL[package(module)]
    for other in imported(MODULES[module], MODULES):
        if other.startswith("genbench.") and package(other) != package(module):
            assert LEVEL[package(other)] < own, f"{module} imports {other}"


def test_every_package_has_a_layer():
    assert {package(m) for m in MODULES} - {"", "__main__"} == {*LEVEL}


def test_imports_make_no_cycle():
    """Every import counts, also one within a function."""
    trees = {
        name: tree for name, tree in MODULES.items() if name != "genbench"
    }  # the front door, which opens on demand
    left = {name: {*imported(tree, trees)} & trees.keys() - {name} for name, tree in trees.items()}
    while free := {name for name, others in left.items() if not others}:
        left = {name: others - free for name, others in left.items() if name not in free}
    assert not left, f"a cycle among {sorted(left)}"


@pytest.mark.parametrize(
    "name", sorted({package(m) for m in MODULES if (ROOT / package(m)).is_dir()} - {""})
)
def test_a_package_says_in_a_sentence_what_it_holds(name):
    said = ast.get_docstring(MODULES[f"genbench.{name}"])
    assert said and said.endswith(".") and "\n" not in said


def test_a_public_name_is_defined_once():
    """So that a search for it leads to one place. A module is entered by `main`, and logs by `logger`."""
    places = {}
    for module, tree in MODULES.items():
        for name in defined(tree):
            places.setdefault(name, set()).add(module)
    twice = {name for name, found in places.items() if len(found) > 1 and name[0] != "_"}
    assert twice == {"main", "logger"}


def defined(tree):
    """The names of functions, classes and single constants at the top of a module."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_nothing_comes_from_a_private_module():
    """A module whose name begins with an underscore, such as hydra._internal, may move at any time."""
    plugins = {path: ast.parse(path.read_text()) for path in ROOT.parent.glob("hydra_plugins/*.py")}
    for module, tree in (MODULES | plugins).items():
        for other in imported(tree, MODULES):
            private = [part for part in other.split(".") if part.startswith("_") and part[1] != "_"]
            assert not private, f"{module} imports {other}"


def test_torchvision_is_imported_only_for_data_that_need_it():
    """It takes seconds."""
    reader = MODULES["genbench.data.vision"]
    importers = {module for module, tree in MODULES.items() if "torchvision" in packages(tree)}
    at_once = ast.Module([n for n in reader.body if not isinstance(n, ast.FunctionDef)], [])
    assert importers == {"genbench.data.vision"} and "torchvision" not in packages(at_once)


def packages(tree):
    """The packages of others that a module imports anywhere in it."""
    found = {other.split(".")[0] for other in imported(tree, MODULES)}
    return found - {*sys.stdlib_module_names, "genbench"}


def required(*extras):
    """What pyproject.toml requires, and some of its extras, as the names of distributions."""
    text = (ROOT.parent / "pyproject.toml").read_text(encoding="utf-8")
    lists = dict(re.findall(r"^([\w-]+) = \[(.*?)\]$", re.sub("#.*", "", text), re.M | re.S))
    chosen = " ".join(lists[name] for name in ("dependencies", *extras))
    return {normal(name) for name in re.findall(r'"([\w.-]+)[^"]*"', chosen)}


def normal(distribution):
    return distribution.lower().replace("_", "-")


def distributions(*folders):
    """What must be installed for the modules in these folders to be imported."""
    paths = [path for folder in folders for path in (ROOT.parent / folder).rglob("*.py")]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in paths)
    found = set.union(*map(packages, trees)) - {"helpers"}
    found -= {path.stem for folder in folders for path in (ROOT.parent / folder).glob("*.py")}
    return {DISTRIBUTIONS.get(name, normal(name)) for name in found}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """Also what only a function imports, and what would come with another package."""
    of_engines = required("joblib", "slurm", "ray", "optuna") - required()
    extras = ("app", "export", "tables", "huggingface", "mlflow", "wandb", "trackio")
    of_extras = required(*extras) - required()
    assert distributions("genbench", "hydra_plugins") - of_engines - of_extras == required()
    optional = {"pythae"}  # without which the benchmark leaves out a row
    of_tests = required("test", "test-extras")
    assert distributions("tests", "scripts") <= of_tests | of_engines | of_extras | optional


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_is_short_enough_to_be_read_at_once(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
