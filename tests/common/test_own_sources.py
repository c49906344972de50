"""Which files a user's own code is made of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from hptransfer.common import errors
from hptransfer.common.own_sources import is_installed, own_sources

FILES = {
    "top_of_own.py": "import torch\nfrom layers_of_own import Layer\nfrom hptransfer.common import errors\n",
    "layers_of_own.py": "import math\ndef late():\n    from sizes_of_own.powers import TWO\nclass Layer: pass\n",
    "sizes_of_own/__init__.py": "",
    "sizes_of_own/powers.py": "from . import roots\nfrom .deep.inner.roots import HALF\nimport top_of_own\nTWO = 2\n",
    "sizes_of_own/roots.py": "",
    "sizes_of_own/deep/__init__.py": "",
    "sizes_of_own/deep/inner/roots.py": "HALF = 0.5\n",  # in a namespace package: it has no __init__.py
    "apart_of_own.py": "",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if "of_own" in name]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_a_module_and_in_turn_what_it_imports_of_the_users_own_and_nothing_else(here: Path) -> None:
    assert own_sources("top_of_own") == {
        "top_of_own": here / "top_of_own.py",
        "layers_of_own": here / "layers_of_own.py",
        "sizes_of_own": here / "sizes_of_own/__init__.py",
        "sizes_of_own.powers": here / "sizes_of_own/powers.py",
        "sizes_of_own.roots": here / "sizes_of_own/roots.py",
        "sizes_of_own.deep": here / "sizes_of_own/deep/__init__.py",
        "sizes_of_own.deep.inner.roots": here / "sizes_of_own/deep/inner/roots.py",
    }


def test_nothing_is_imported_to_find_out(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "late_of_own.py").write_text("def late():\n    import xmlrpc.client, no_such_package.inner, top_of_own\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "xmlrpc"]:
        monkeypatch.delitem(sys.modules, name)
    assert set(own_sources("late_of_own")) > {"late_of_own", "top_of_own"}
    assert not {"xmlrpc", "top_of_own", "late_of_own"} & set(sys.modules)


def test_what_is_installed_or_is_not_there_has_none() -> None:
    assert own_sources("torch") == own_sources("hptransfer.common.errors") == own_sources("no_such_module") == {}


def test_installed_are_python_its_libraries_and_this_package(here: Path) -> None:
    import json

    assert all(is_installed(Path(str(module.__file__))) for module in (torch, json, errors))
    assert not is_installed(here / "top_of_own.py")
