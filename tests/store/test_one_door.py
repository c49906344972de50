"""One door: no command judges, draws or counts a row that the store would not vouch for.

Each test runs the command line on a copy of the quickstart's results.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from hptransfer.cli.main import main
from hptransfer.store.columns import SCHEMA_VERSION
from hptransfer.store.parts import digest_in, encode, part_name
from hptransfer.store.read_results import diverged, read_study
from hptransfer.store.store import Store

QUICKSTART = Path(__file__).parents[2] / "results" / "quickstart"
QUICKSTART_ROWS = 248
FROM_VERSION_1 = Path(__file__).parents[2] / "results" / "density-lr"

JUDGING = [["verdict"], ["verdict", "--json"], ["plot"], ["report"]]
COUNTING = [["status"], ["status", "--json"], ["plan", "--no-calibrate"], ["plan", "--no-calibrate", "--json"]]
READING_BASE = [["explain"], ["export"], ["check"]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of results/quickstart, below the folder we stand in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for kind in ("trials", "curves"):
        shutil.copytree(QUICKSTART / kind, tmp_path / "results" / "quickstart" / kind)
    for name in ("study.yaml", "base.json", "check.json", "check.parquet"):
        shutil.copy(QUICKSTART / name, tmp_path / "results" / "quickstart")
    return tmp_path / "results" / "quickstart"


def only_part(folder: Path, kind: str = "trials") -> Path:
    (part,) = (folder / kind).glob("*.parquet")
    return part


def halve_losses(table: pa.Table, rows: int = 20) -> pa.Table:
    losses = table.column("loss").to_pylist()
    losses[:rows] = [loss / 2 for loss in losses[:rows]]
    return table.set_column(table.column_names.index("loss"), "loss", pa.array(losses))


def damage(part: Path) -> None:
    """Twenty losses halved, under the old name: still Parquet, still the documented columns."""
    pq.write_table(halve_losses(pq.read_table(part)), part)


def says(words: list[str], folder: Path) -> int:
    """The exit status of a command on this results folder."""
    where = str(folder / "study.yaml" if words[0] in ("plan", "explain", "export", "check") else folder)
    with pytest.raises(SystemExit) as left:
        main([words[0], where, *words[1:]])
    return int(left.value.code or 0)


def outputs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.suffix in (".png", ".svg", ".html"))


@pytest.mark.parametrize("words", JUDGING, ids=" ".join)
def test_where_all_rows_are_damaged_nothing_is_judged_and_the_part_is_named(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(part := only_part(folder))
    assert says(words, folder) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{part.name} its bytes do not match the digest in its name" in err
    assert outputs(folder) == []
    assert part.exists(), "a reader moves nothing"


def add_good_part(folder: Path) -> set[str]:
    """The first half of the rows once more, whole; their ids."""
    table = pq.read_table(only_part(folder))
    half = table.slice(0, table.num_rows // 2)
    data = encode(half)
    (folder / part_name("trials", "20260101T000000.000000", data)).write_bytes(data)
    return set(half.column("trial_id").to_pylist())


@pytest.mark.parametrize("words", JUDGING, ids=" ".join)
def test_where_good_parts_are_left_those_are_judged_and_the_damage_is_named(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = only_part(folder)
    kept = add_good_part(folder)
    damage(part)
    assert says(words, folder) in (0, 1)
    assert part.name in capsys.readouterr().err
    stored = read_study(str(folder))
    assert set(stored.frame["trial_id"]) == kept
    assert [problem.split()[0] for problem in stored.problems] == [f"trials/{part.name}"]


@pytest.mark.parametrize("words", COUNTING, ids=" ".join)
def test_damaged_rows_count_as_not_stored_and_the_part_is_named(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(part := only_part(folder))
    assert says(words, folder) == 0
    out, err = capsys.readouterr()
    assert part.name in err
    if "--json" in words:
        assert json.loads(out)["stored"] == 0


def test_a_damaged_curve_is_named_and_the_verdict_stands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = only_part(folder, "curves")
    part.write_bytes(part.read_bytes()[:-1])
    assert says(["verdict", "--json"], folder) == 0
    out, err = capsys.readouterr()
    assert {v["verdict"] for v in json.loads(out) if v["rule"] == "supar"} == {"STABLE"}
    assert f"{part.name} its bytes do not match the digest in its name; left out, its curves are lost" in err
    assert read_study(str(folder)).curves.empty


def write_newer(folder: Path, name: str) -> None:
    """The only part, as a later version would have written it."""
    part = only_part(folder)
    table = pq.read_table(part)
    part.unlink()
    newer = pa.array([99] * table.num_rows)
    data = encode(table.set_column(table.column_names.index("schema_version"), "schema_version", newer))
    (folder / (part_name("trials", name, data) if name else "trials/part-0.parquet")).write_bytes(data)


@pytest.mark.parametrize("stamp", ["20260101T000000.000000", ""], ids=["verified", "without a digest"])
@pytest.mark.parametrize("words", [*JUDGING, *COUNTING, *READING_BASE], ids=" ".join)
def test_a_newer_schema_is_refused_before_anything_is_printed(
    words: list[str], stamp: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_newer(folder, stamp)
    assert says(words, folder) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"written by a newer hptransfer; found 'schema version 99'; allowed: up to {SCHEMA_VERSION}" in err
    assert outputs(folder) == []


@pytest.mark.parametrize("words", [*JUDGING, *COUNTING, *READING_BASE], ids=" ".join)
def test_one_newer_part_among_others_is_refused_too(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = only_part(folder).read_bytes()
    write_newer(folder, "20260101T000000.000000")
    (folder / part_name("trials", "20270101T000000.000000", good)).write_bytes(good)
    assert says(words, folder) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", JUDGING, ids=" ".join)
def test_rows_from_elsewhere_are_judged_and_said_to_be_unverified_and_what_is_broken_is_named(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_part(folder).rename(folder / "trials" / "theirs.parquet")
    (folder / "trials" / "torn.parquet").write_bytes(b"PAR1")
    assert says(words, folder) == 0
    err = capsys.readouterr().err
    assert "nothing about them is verified" in err
    assert "torn.parquet cannot be read" in err
    assert len(read_study(str(folder)).frame) == QUICKSTART_ROWS


def test_status_counts_the_rows_that_are_judged_also_where_they_are_from_elsewhere(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_part(folder).rename(folder / "theirs.parquet")
    assert says(["status", "--json"], folder) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["stored"] == len(read_study(str(folder)).frame) == QUICKSTART_ROWS
    assert "nothing about them is verified" in err


def test_rows_without_a_status_diverged_where_their_loss_is_not_finite() -> None:
    lost = diverged(pd.DataFrame({"loss": [2.0, None, float("inf")]}))
    assert lost.tolist() == [False, True, True]
    told = diverged(pd.DataFrame({"loss": [2.0, None, None], "status": ["diverged", "pruned", "diverged"]}))
    assert told.tolist() == [True, False, True]


def test_committed_rows_of_version_1_read_as_what_they_were() -> None:
    assert digest_in(only_part(FROM_VERSION_1).name)
    frame = read_study(str(FROM_VERSION_1)).frame
    assert len(frame) == 384
    new = ["schema_version", "task", "trainer", "sparsity_method", "axes", "entries"]
    assert frame[new].drop_duplicates().to_numpy().tolist() == [[1, "language", "packs", "static", "{}", "{}"]]
    pd.testing.assert_frame_equal(frame, Store.open(str(FROM_VERSION_1), create=False).read())
    assert pc.sum(pq.read_table(only_part(FROM_VERSION_1)).column("flops_dense")).as_py() == frame["flops_dense"].sum()
