"""What README.md and docs/ say: the example of extending.md, word for word; settings, commands and links."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from helpers.commands import checked

from genbench.config.choice_files import GROUPS
from genbench.config.registry import builtin_registry
from genbench.sweeps.sweep import Sweep

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
TEXT = (DOCS / "extending.md").read_text()
MODELS_TEXT = (DOCS / "models.md").read_text()
PAGES = [DOCS.parent / "README.md", *DOCS.glob("*.md")]
COMMANDS = {  # that train: in a block or a sentence, the first word is an option or a setting
    command.replace("FOLDER", "/tmp")
    for page in PAGES
    for command in re.findall(
        r"^genbench (?:-m|\S+=).*|(?<=`)genbench (?:-m|[^` ]+=)[^`]*", page.read_text(), re.M
    )
}
SECTIONS = dict(re.findall(r"^### `(\S+)`\n(.*?)(?=^##)", MODELS_TEXT, re.M | re.S))  # by model


@pytest.mark.models
def test_the_example_of_an_own_model_and_dataset_works(genbench, tmp_path, monkeypatch):
    monkeypatch.setattr(Sweep, "draw", lambda sweep: None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, content in re.findall(
        r"^`(mine/\S+)`.*?^```(?:python|yaml)\n(.*?)^```", TEXT, re.M | re.S
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    listed = re.search(r"^```\nmine/\n(.*?)^```", TEXT, re.M | re.S)[1]
    assert {f"mine/{line.split()[0]}" for line in listed.splitlines()} == {
        str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")
    }
    commands = [line.split()[1:] for line in TEXT.splitlines() if line.startswith("genbench ")]
    assert len(commands) == 4
    for command in commands:
        done = genbench(*command)
        assert done.returncode == 0, done.stderr
        for hint in re.findall(r"genbench (show .*)", done.stdout):
            assert hint.endswith(" --config-dir mine")
            assert genbench(*shlex.split(hint)).returncode == 0
    runs = {
        p.parent.name: json.loads(p.read_text()) for p in tmp_path.glob("outputs/**/metrics.json")
    }
    assert len(runs) == 5
    own, beside = (
        next(
            found
            for name, found in runs.items()
            if "rae" in name and stronger == ("lambda" in name)
        )
        for stronger in (True, False)
    )
    assert own["test"]["n"] == 1600 and 0 < own["test"]["slope"] < beside["test"]["slope"]
    table = next(found for name, found in runs.items() if "wine" in name)
    assert 13 / 3 < table["test"]["squared_error"] < 13, (
        "of 13 columns, none of which outweighs the others"
    )
    refused = genbench("--config-dir", "mine", "model=rae", "lambda=-1")
    assert refused.returncode == 2 and "lambda: must be float >= 0" in refused.stderr


def test_every_model_has_a_section():
    assert sorted(SECTIONS) == builtin_registry().names("model")


def test_a_section_names_settings_that_its_model_has_and_all_that_it_alone_has(model_name):
    registry = builtin_registry()
    has = registry.shared() | registry.settings(f"model/{model_name}")
    for dataset in registry.names("dataset"):
        has |= {
            name: s
            for name, s in registry.settings(f"dataset/{dataset}").items()
            if name.startswith("dataset.")
        }
    declared = registry.declared(f"model/{model_name}")
    models = [m for m in registry.names("model") if registry.declared(f"model/{m}") is declared]
    section = SECTIONS[model_name]
    listed = re.search(r"^\*\*Settings\.\*\*\n((?:- .*\n(?:  .*\n)*)+)", section, re.M)[1]
    names = _named_first(listed)
    assert names or "Those of" in listed
    given = [span.partition("=")[0] for span in re.findall(r"`([\w.]+=[^`]*)`", section)]
    assert {*names, *given} - {*has, *GROUPS} == set()
    path = f"{declared.__module__}.{declared.__qualname__}"
    own = {name for name, setting in has.items() if setting.declared_in == path}
    explained = {name for m in models for name in _named_first(SECTIONS[m])}
    assert own <= {*explained, *given}


def _named_first(text):
    """The settings that the points of lists begin with."""
    return re.findall(r"`([\w.]+)`", "\n".join(re.findall(r"^- (.*?): ", text, re.M)))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_commands_are_accepted(command):
    checked(command, builtin_registry())


def test_settings_and_links_elsewhere_exist():
    parameters_of = builtin_registry().owners
    shared = builtin_registry().shared()
    for span in re.findall(r"`([\w.]+)=[^`\n]*`", MODELS_TEXT):
        assert span in shared or span in GROUPS or parameters_of(span), span
    anchors = {
        re.sub(r"[^\w\s-]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)", MODELS_TEXT, re.M)
    }
    assert {*re.findall(r"\]\(#([^)]+)\)", MODELS_TEXT)} <= anchors


def test_the_tests_that_the_promises_name_are_there():
    named = re.findall(
        r"`(\w+/test_\w+\.py)(?: -k (?:\"([^\"]+)\"|(\w+)))?`",
        (DOCS / "reliability.md").read_text(),
    )
    assert len(named) > 40
    for file, quoted, word in named:
        names = re.findall(
            r"^def (test_\w+)", (DOCS.parent / "tests" / file).read_text(), flags=re.M
        )
        for wanted in (quoted or word).split(" or ") if quoted or word else [""]:
            assert any(wanted in name for name in names), f"{file} -k {wanted}"


def test_ci_runs_the_set_up_commands_of_the_readme():
    readme = (DOCS.parent / "README.md").read_text()
    commands = re.findall(r"^python3 -m venv .*", readme, re.M)
    assert len(commands) == 2
    script = (DOCS.parent / ".ci" / "run").read_text()
    assert all(f"\n{command} || exit 1\n" in script for command in commands)


def test_every_page_is_in_the_index_and_every_link_leads_to_a_file():
    index = (DOCS / "index.md").read_text()
    for page in DOCS.glob("*.md"):
        assert page.stem == "index" or f"\n{page.stem}\n" in index, page
    for page in [*PAGES, DOCS.parent / "CONTRIBUTING.md", DOCS.parent / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
