"""Data larger than memory: what a run needs does not grow with them. Each takes several seconds."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


@pytest.fixture
def scripts(monkeypatch):
    """The module of scripts/ with this name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.engines
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the pages of files apart")
def test_memory_is_flat_in_the_size_of_the_data(scripts, tmp_path):
    larger = scripts("benchmark_larger")
    found = []
    for i, points in enumerate((50_000, 600_000)):  # 13 MB and 154 MB
        larger.write_dataset(tmp_path / str(i), points)
        found.append(
            larger.anonymous_memory(tmp_path / str(i), "model=kmeans-minibatch", "epochs=1")
        )
    assert found[1] - found[0] < 60, found  # MiB; the values alone have 134 more
