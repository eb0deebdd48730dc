"""YAML, JSON and lines that no program could work with are damaged, and are recognised at once."""

import signal
import time
from pathlib import Path

import pytest

from genbench.config.values import Loader
from genbench.utils import files, signals
from genbench.utils.files.parsing import BoundedLoader, parse_yaml

SELF_REFERRING = "a: &a [*a]"
MERGED = (
    f"a: &a {{{', '.join(f'k{i}' for i in range(5000))}}}\n" + "b: [" + "{<<: *a}," * 5000 + "]"
)
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi")
)
NO_TEXT = b"\xff\xfe\x00beta: 4".decode("latin-1")


@pytest.mark.parametrize("loader", [BoundedLoader, Loader])
def test_yaml_is_not_read_beyond_where_it_is_nested_too_deeply(loader):
    """PyYAML takes seconds over the rest, which would be refused for another reason here."""
    with pytest.raises(files.Unreadable, match="it is nested too deeply"):
        parse_yaml("[" * 100 + "}", "file", loader)
    with pytest.raises(files.Unreadable, match="it is not valid YAML"):
        parse_yaml("[" * 40 + "}", "file", loader)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "{a: " * 20_000,
        "[" * 60 + "]" * 60,
        SELF_REFERRING,
        LAUGHS,
        MERGED,
        NO_TEXT,
        "a: 2020-99-99",
        "!!int ''",
        "!!timestamp x",
    ],
    ids=range(10),
)
def test_yaml_that_no_program_could_work_with_is_damaged(text, tmp_path):
    (tmp_path / "config.yaml").write_bytes(text.encode("latin-1"))
    started = time.process_time()
    with pytest.raises(files.Unreadable, match=r"config.yaml: is damaged: "):
        files.read_yaml(tmp_path / "config.yaml")
    assert time.process_time() - started < 5


def test_yaml_may_nest_and_merge_as_far_as_people_do(tmp_path):
    nested = "{a: " * 40 + "1" + "}" * 40
    (tmp_path / "config.yaml").write_text(f"one: &one {{b: 2}}\ntwo: {{<<: *one}}\nc: {nested}\n")
    found = files.read_yaml(tmp_path / "config.yaml")
    assert found["two"] == {"b": 2} and str(found["c"]).count("a") == 40


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 50_000, "[" * 60 + "]" * 60, NO_TEXT, '{"a": 1', "1" * 5000],
    ids=range(6),
)
def test_json_that_no_program_could_work_with_is_damaged(text, tmp_path):
    (tmp_path / "metrics.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(files.Unreadable, match=r"metrics.json: is damaged: "):
        files.read_json(tmp_path / "metrics.json")


def lines_of(content: bytes, path: Path) -> list[dict]:
    """What can be read of a file of records with this content."""
    path.write_bytes(content)
    return [value for _, value in files.read_json_lines(path, {"epoch": int})]


def test_lines_that_are_no_records_take_no_time(tmp_path):
    path, good = tmp_path / "metrics.jsonl", b'{"epoch": 1}\n'
    started = time.process_time()
    assert lines_of(b"\n" * 10_000_000 + good, path) == [{"epoch": 1}]
    assert lines_of(good + b"{" + good, path) == [{"epoch": 1}]
    with pytest.raises(files.Unreadable, match="more than 1,000 lines are no records"):
        lines_of(b"x\n" * 1_000_000, path)
    assert time.process_time() - started < 5


def test_reading_lines_stops_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
    with pytest.raises(signals.Interrupted):
        lines_of(b'{"epoch": 1}\n' * 5000, tmp_path / "metrics.jsonl")
