"""The notebooks run from a checkout's `results/` alone, offline, and are stored executed, small and free of places."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ("01_tune_and_transfer", "02_does_it_hold", "03_your_own_model")
OFFLINE = """
import sys

def refuse(event, given):
    if event == "socket.getaddrinfo" and given[0] not in (None, "", "localhost", "127.0.0.1", b"localhost"):
        raise OSError(f"looked up {given[0]}")
    if event == "socket.connect" and isinstance(given[1], tuple) and given[1][0] not in ("127.0.0.1", "::1"):
        raise OSError(f"connected to {given[1]}")

sys.addaudithook(refuse)
"""
"""Loaded by every Python that the test starts, kernels too, which need to talk to themselves."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the notebooks and what of `results/` is in git, after `python notebooks/execute.py`."""
    here = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "notebooks", here / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    local = shutil.ignore_patterns("logs", "ray", "failed", "checkpoints", ".lock", "*.tmp-*")
    shutil.copytree(ROOT / "results", here / "results", ignore=local)
    (here / "offline").mkdir()
    (here / "offline" / "sitecustomize.py").write_text(OFFLINE)
    (here / "home").mkdir()
    before = contents(here / "results")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "PYTHON"))},
        "PYTHONPATH": str(here / "offline"),
        "IPYTHONDIR": str(here / "home"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(here / "notebooks" / "execute.py")],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(here / "results") == before, "the notebooks only read"
    assert {path.name for path in (here / "notebooks").iterdir()} == {"execute.py", *(f"{n}.ipynb" for n in NOTEBOOKS)}
    return here / "notebooks"


def outputs(path: Path) -> list[dict[str, Any]]:
    notebook = nbformat.read(path, as_version=4)
    return [dict(output) for cell in notebook.cells for output in cell.get("outputs", [])]


def assert_presentable(path: Path) -> None:
    """Valid, run from top to bottom, with pictures and without complaints, and nothing that names a machine."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(not cell.metadata for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    found = outputs(path)
    assert not [o for o in found if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert [o for o in found if "image/png" in o.get("data", {})]
    assert path.stat().st_size < 300_000
    text = json.dumps([{**o, "data": {k: v for k, v in o.get("data", {}).items() if k != "image/png"}} for o in found])
    assert not re.search(r"(?<![\w.<])/(home|root|tmp|usr|work|Users|opt|var)/|[A-Z]:\\\\| at 0x[0-9a-f]+", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_the_results_alone(fresh: Path, name: str) -> None:
    assert_presentable(fresh / f"{name}.ipynb")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_stored_notebook_is_executed_and_can_be_shown(name: str) -> None:
    assert_presentable(ROOT / "notebooks" / f"{name}.ipynb")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_names_no_other_place_than_results(name: str) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    places = re.findall(r"[\"'](\.{0,2}/[^\"']*)[\"']", code)
    assert places
    assert all(place.startswith("../results/") for place in places)
    assert "://" not in code
