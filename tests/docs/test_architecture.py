"""Imports point downward: no circle among the modules or the rooms, and each room knows only what lies below it.

The facts are read by `docs/import_graph.py`, which the picture is drawn from too. Every import counts, also one in a
function or for types alone.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from markdown_pages import ROOT

from hptransfer.common import seams
from hptransfer.common.seams import Seam, import_entry

PACKAGE = ROOT / "hptransfer"
sys.path.insert(0, str(ROOT / "docs"))


def load(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


graph = load("import_graph")
MODULES: dict[str, set[str]] = graph.module_imports(PACKAGE)
ROOMS: dict[str, set[str]] = graph.room_imports(MODULES)
ROWS = (
    {"common"},
    {"study"},
    {"sparsity", "store", "tasks"},
    {"analysis", "scaling"},
    {"report", "training"},
    {"execute"},
    {"trials", "testing"},
    {"drive"},
    {"cli"},
)
"""The house, lowest first. A room may import those of lower rows."""


# --- the house


def test_the_house_holds_its_rooms_and_its_door() -> None:
    held = {path.name for path in PACKAGE.iterdir()} - {"__pycache__", "py.typed"}  # an empty file that marks the types
    assert len(held) <= 16
    assert held - set().union(*ROWS) == {"__init__.py", "__main__.py"}


def test_every_room_imports_only_rooms_below_it() -> None:
    height = {room: at for at, row in enumerate(ROWS) for room in row}
    assert set(ROOMS) == set(height)
    upward = [(room, other) for room, imported in ROOMS.items() for other in imported if height[other] >= height[room]]
    assert not upward


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert sum(map(len, graph.rows_of(MODULES))) == len(MODULES) > 100


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("common", {"*"}),
        ("study", {"*", "common"}),
        ("sparsity", {"scaling", "training", "tasks", "store"}),
        ("tasks", {"scaling", "training", "sparsity", "store"}),
        ("store", {"training", "execute", "analysis", "scaling", "tasks"}),
        ("scaling", {"training", "execute", "store"}),
        ("analysis", {"training", "execute", "scaling", "tasks", "report"}),
        ("training", {"execute", "store", "trials", "analysis"}),
        ("report", {"training", "scaling", "tasks", "execute", "drive"}),
        ("execute", {"trials", "analysis", "report", "drive"}),
    ],
)
def test_a_room_does_not_know_what_is_above_or_beside_it(room: str, never: set[str]) -> None:
    known = graph.below(ROOMS, room)
    assert known <= never - {"*"} if "*" in never else not known & never


def test_only_the_command_line_knows_the_command_line_and_nothing_knows_the_suites() -> None:
    for room, never in (("cli", {"cli", ""}), ("testing", {"testing"})):
        knowing = {module for module, imported in MODULES.items() if any(graph.room_of(i) == room for i in imported)}
        assert {graph.room_of(module) for module in knowing} <= never | {"__main__"}, room


def test_imports_are_written_so_that_they_are_seen() -> None:
    for file in PACKAGE.rglob("*.py"):
        unseen = re.findall(r"^\s*(?:from \.|import hptransfer)\b.*", file.read_text(encoding="utf-8"), flags=re.M)
        assert not unseen, f"{file.name}: {unseen}"


# --- how the facts are read and drawn


def package(folder: Path, **modules: str) -> dict[str, set[str]]:
    """The imports of a package of these modules; a double underscore stands for a folder."""
    for name, text in modules.items():
        file = folder / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    found: dict[str, set[str]] = graph.module_imports(folder)
    return found


def test_imports_for_types_in_functions_and_by_text_count(tmp_path: Path) -> None:
    found = package(
        tmp_path,
        a__one="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hptransfer.b.two import Two\n",
        b__two="def f():\n    from hptransfer.c import three\n",
        c__three="from importlib import import_module\nimport_module('hptransfer.a.one')\n",
    )
    assert found == {"a.one": {"b.two"}, "b.two": {"c.three"}, "c.three": {"a.one"}}
    with pytest.raises(ValueError, match=r"a\.one → b\.two → c\.three → a\.one"):
        graph.rows_of(found)
    assert graph.room_imports(found) == {"a": {"b"}, "b": {"c"}, "c": {"a"}}


def test_every_arrow_of_the_picture_points_down() -> None:
    drawn = load("import_picture").picture(ROOMS)
    arrows = re.findall(r'd="M[\d.]+ ([\d.]+) C.*? [\d.]+ ([\d.]+)"/>', drawn)
    assert len(arrows) == sum(map(len, graph.essential(ROOMS).values())) > 12
    assert all(float(start) < float(end) for start, end in arrows)
    assert re.findall(r">(\w+)</text>", drawn) == sorted(ROOMS)


def test_an_arrow_is_left_out_only_where_others_lead_there() -> None:
    assert graph.essential({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
    drawn = graph.essential(ROOMS)
    assert all(graph.below(drawn, room) == graph.below(ROOMS, room) for room in ROOMS)


# --- the seams


SEAMS = [seam for seam in vars(seams).values() if isinstance(seam, Seam)]


@pytest.mark.parametrize(
    ("seam", "name"),
    [(seam, name) for seam in SEAMS for name in seam.built_in],
    ids=lambda value: value.kind if isinstance(value, Seam) else value,
)
def test_every_line_of_the_table_of_seams_leads_to_an_entry(seam: Seam, name: str) -> None:
    found = import_entry(seam.built_in[name], where=seam.where)
    if seam.promises:
        entry = seam.get(name)
        assert all(hasattr(entry, promise) for promise in seam.promises)
    else:
        assert callable(found)


def test_every_seam_has_a_suite_and_a_section_in_the_docs() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    headings = {line.removeprefix("## ").lower() for line in page.splitlines() if line.startswith("## ")}
    suites = set(importlib.import_module("hptransfer.testing").__all__)
    assert len(SEAMS) == 9
    for seam in SEAMS:
        words = seam.kind.replace("sparsity ", "")
        assert f"a {words}" in headings or f"an {words}" in headings, seam.kind
        if seam.kind != "model":
            assert f"check_{words.removeprefix('swept ').replace(' ', '_')}" in suites, seam.kind


# --- the tests


TESTED_ELSEWHERE = {
    "execute.base": "a contract; tests/execute/test_executors.py and hptransfer.testing hold every executor to it",
    "execute.local": "tests/execute/test_executors.py runs all executors side by side",
    "execute.ray": "tests/execute/test_executors.py runs all executors side by side",
    "execute.tune": "tests/execute/test_executors.py runs all executors side by side",
    "cli.plan_table": "tests/drive/test_plan.py reads the tables beside the plans that they show",
    "training.graphs": "recorded on a GPU alone, where every program goes through it",
}
"""Modules without a test file of their own, each with the reason."""


def holds_logic(file: Path) -> bool:
    """Whether a module defines a function that does something: not a protocol's, and not a property's one return."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    protocols = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for inner in ast.walk(node)
    }
    bodies = [n.body for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and id(n) not in protocols]
    return any(len([s for s in body if not _is_text(s)]) > 1 for body in bodies)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def untested() -> list[str]:
    """Modules with logic for which there is no `tests/<room>/…/test_<module>.py`."""
    missing = []
    for file in sorted(PACKAGE.rglob("*.py")):
        relative = file.relative_to(PACKAGE)
        name = ".".join(relative.with_suffix("").parts)
        test = ROOT / "tests" / relative.parent / f"test_{relative.stem.strip('_')}.py"
        if file.stem != "__init__" and holds_logic(file) and not test.exists():
            missing.append(name)
    return missing


def test_every_module_with_logic_has_its_test_file_found_by_name() -> None:
    assert [name for name in untested() if name not in TESTED_ELSEWHERE] == []


def test_no_exception_is_kept_that_is_none() -> None:
    assert not set(TESTED_ELSEWHERE) - {
        ".".join(p.relative_to(PACKAGE).with_suffix("").parts) for p in PACKAGE.rglob("*.py")
    }
    assert all(reason for reason in TESTED_ELSEWHERE.values())


# --- what is loaded


def test_help_and_completion_load_neither_torch_nor_ray() -> None:
    program = (
        "import sys, hptransfer.cli.main; print({'torch', 'ray', 'optuna', 'pandas', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


LOADED = """
import sys
from hptransfer.cli.main import main
try:
    main({command})
except SystemExit:
    pass
print("loaded", {unwanted} & set(sys.modules))
"""


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (["plan", "sweeps/smoke.yaml", "--no-calibrate"], {"torch._dynamo", "matplotlib", "scipy.optimize", "ray"}),
        (["explain", "sweeps/smoke.yaml"], {"torch._dynamo", "matplotlib", "scipy.optimize", "ray"}),
        (["verdict", "results/quickstart"], {"torch", "matplotlib", "ray"}),
        (["status", "results/quickstart"], {"torch", "matplotlib", "ray"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_only_what_it_needs(command: list[str], unwanted: set[str]) -> None:
    """torch takes a second to load, its compiler another, matplotlib half of one; each command would wait for all."""
    program = LOADED.format(command=command, unwanted=unwanted)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.splitlines()[-1:] == ["loaded set()"], done.stderr
