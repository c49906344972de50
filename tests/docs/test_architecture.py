"""Imports point downward: no circle among the rooms, none among the modules, and the layers stay what they are."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from types import ModuleType

import pytest
from markdown_pages import ROOT

PACKAGE = ROOT / "hptransfer"


def load_picture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_import_picture", ROOT / "docs" / "import_picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pictured = load_picture()


@pytest.fixture(scope="module")
def rooms() -> dict[str, set[str]]:
    return pictured.room_imports(PACKAGE)


def test_no_rooms_import_each_other_in_a_circle(rooms: dict[str, set[str]]) -> None:
    rows = pictured.rows_of(rooms)
    height = {room: at for at, row in enumerate(rows) for room in row}
    for room, imported in rooms.items():
        for other in imported:
            assert height[other] < height[room], f"{room} imports {other}"


def test_a_circle_is_named() -> None:
    with pytest.raises(ValueError, match="a → b → c → a"):
        pictured.rows_of({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_every_arrow_of_the_picture_points_down(rooms: dict[str, set[str]]) -> None:
    arrows = re.findall(r'd="M[\d.]+ ([\d.]+) C.*? [\d.]+ ([\d.]+)"/>', pictured.picture(rooms))
    assert len(arrows) == sum(map(len, pictured.essential(rooms).values())) > 15
    assert all(float(start) < float(end) for start, end in arrows)


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("scaling/", {"training/", "execute/", "store", "study_file"}),
        ("models/", {"training/", "scaling/", "data/"}),
        ("analysis/", {"training/", "execute/", "store", "scaling/", "report/"}),
        ("training/", {"execute/", "store", "tuning/", "analysis/"}),
        ("execute/", {"tuning/", "analysis/", "report/", "session"}),
        ("report/", {"training/", "execute/", "session"}),
        ("store", {"training/", "execute/", "analysis/"}),
    ],
)
def test_a_room_does_not_know_what_is_above_or_beside_it(
    rooms: dict[str, set[str]], room: str, never: set[str]
) -> None:
    assert not pictured.below(rooms, room) & never


def test_an_arrow_is_left_out_only_where_others_lead_there(rooms: dict[str, set[str]]) -> None:
    assert pictured.essential({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
    drawn = pictured.essential(rooms)
    assert all(pictured.below(drawn, room) == pictured.below(rooms, room) for room in rooms)


def test_only_the_command_line_knows_the_command_line(rooms: dict[str, set[str]]) -> None:
    for room, imported in rooms.items():
        if room not in ("cli", "__main__"):
            assert not imported & {"cli", "session", "inspection", "readout"}, room


def test_imports_are_written_so_that_the_picture_sees_them() -> None:
    for file in PACKAGE.rglob("*.py"):
        unseen = re.findall(r"^\s*(?:from \.|import hptransfer)\b.*", file.read_text(encoding="utf-8"), flags=re.M)
        assert not unseen, f"{file.name}: {unseen}"


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
