"""A results folder as one value, whole or damaged."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from stored_rows import a_trial, fill

from hptransfer.common.errors import InputError
from hptransfer.store.folders import LocalFolder
from hptransfer.store.read_results import read_study
from hptransfer.store.store import Store

BASE = {"lr": 2.0**-7, "init_std": 0.05, "trials": 32, "flat_low": 2.0**-8, "importances": {"lr": 0.8}}
DOCUMENTS = {
    "base.json": BASE,
    "bracket.json": {"trials": 9},
    "check.json": {"sentences": ["supar keeps its size"]},
    "tensors.json": {"width": 128, "rules": {}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a run leaves it."""
    store = Store.open(str(tmp_path / "s"), "demo")
    fill(store, range(4), study="demo")
    for name, content in DOCUMENTS.items():
        store.write_json(name, content)
    store.write_text("study.yaml", "name: demo\nverdict: {delta: 0.01}\n")
    store.write_frame("check.parquet", pd.DataFrame({"axis": ["width"], "slope": [0.0]}))
    return tmp_path / "s"


def test_a_whole_folder(folder: Path) -> None:
    stored = read_study(str(folder))
    assert (stored.name, stored.uri, stored.problems) == ("demo", str(folder), ())
    assert stored.frame["trial_id"].tolist() == [a_trial(seed).id for seed in range(4)]
    assert len(stored.curves) == 8
    assert stored.study == {"name": "demo", "verdict": {"delta": 0.01}}
    assert stored.base is not None
    assert (stored.base.hps.lr, stored.base.trials, stored.base.tuned) == (2.0**-7, 32, True)
    assert stored.transferred == stored.base.hps.model_dump()
    assert stored.search == {"trials": 9}
    assert stored.tensors == {"width": 128, "rules": {}}
    assert stored.check_says == ("supar keeps its size",)
    assert stored.check is not None
    assert stored.check["slope"].tolist() == [0.0]
    assert not stored.running


def test_only_rows_are_needed(uri: str) -> None:
    fill(Store.open(uri, "s"), range(2))
    stored = read_study(uri)
    assert stored.name == "s"  # the folder's
    assert (stored.study, stored.base, stored.search, stored.check, stored.tensors) == (None,) * 5
    assert stored.transferred is None


def test_a_uri_reads_like_a_path(folder: Path) -> None:
    pd.testing.assert_frame_equal(read_study(folder.as_uri()).frame, read_study(str(folder)).frame)


def test_where_nothing_was_tuned_nothing_is_transferred(folder: Path) -> None:
    (folder / "base.json").write_text(json.dumps(BASE | {"trials": 0}))
    stored = read_study(str(folder))
    assert stored.base is not None
    assert stored.transferred is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("base.json", "{", "base.json: cannot be read"),
        ("base.json", "[1]", "base.json: does not hold a mapping"),
        ("base.json", '{"lr": 0.5}', "base.json: init_std must be numbers"),
        ("base.json", '{"lr": -1, "init_std": 0.05}', "base.json: lr"),
        ("study.yaml", "a: [", "study.yaml: cannot be read"),
        ("study.yaml", "just words", "study.yaml: does not hold a mapping"),
        ("bracket.json", "nonsense", "bracket.json: cannot be read"),
        ("check.parquet", "PAR1 not really", "check.parquet: is no readable Parquet file"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_is_used(folder: Path, name: str, content: str, says: str) -> None:
    (folder / name).write_text(content)
    stored = read_study(str(folder))
    assert len(stored.frame) == 4
    (problem,) = stored.problems
    assert says in problem


def test_a_damaged_part_is_named_and_its_rows_are_left_out(folder: Path) -> None:
    part = sorted((folder / "trials").iterdir())[1]
    part.write_bytes(part.read_bytes()[:-9])
    stored = read_study(str(folder))
    assert stored.frame["seed"].tolist() == [0, 2, 3]
    assert stored.problems == (f"trials/{part.name} its bytes do not match the digest in its name; left out",)


def test_a_file_in_trials_without_ids_is_no_part_of_a_store(folder: Path) -> None:
    pd.DataFrame({"lr": [0.5, 0.25], "loss": [1.0, 2.0]}).to_parquet(folder / "trials" / "z.parquet")
    stored = read_study(str(folder))
    assert len(stored.frame) == 4
    assert stored.problems == ("trials/z.parquet lacks the column trial_id; left out",)


def test_a_file_in_trials_without_a_digest_is_read_and_said_to_be_unverified(folder: Path) -> None:
    first = sorted((folder / "trials").iterdir())[0]
    first.rename(folder / "trials" / "a.parquet")
    stored = read_study(str(folder))
    assert len(stored.frame) == 4
    assert stored.problems == ("trials/a.parquet carries no digest in its name, so nothing about it is verified",)


def test_where_damage_is_all_there_is_the_folder_is_refused(folder: Path) -> None:
    for part in (folder / "trials").iterdir():
        part.write_bytes(b"")
    with pytest.raises(InputError, match=r"no trial rows here; trials/.*\.parquet is empty; left out"):
        read_study(str(folder))


def test_a_folder_without_rows_is_refused_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no trial rows here.*hptransfer run"):
        read_study(str(tmp_path / "empty"))
    with pytest.raises(InputError, match=r"it holds the results of s: name one"):
        read_study(str(tmp_path))
    with pytest.raises(InputError, match="no such results folder"):
        read_study(str(tmp_path / "absent"))
    with pytest.raises(InputError, match="names no folder"):
        read_study("s3://")


def test_a_check_alone_or_a_run_that_began_is_enough(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), "s")
    store.write_json("running.json", {"planned": 4, "in_flight": 4})
    assert read_study(str(tmp_path)).running
    store.remove("running.json")
    store.write_frame("check.parquet", pd.DataFrame({"slope": [0.0]}))
    assert read_study(str(tmp_path)).frame.empty


@pytest.mark.parametrize(
    ("in_flight", "age", "running"), [(3, 0, True), (0, 0, False), (3, 3600, False)], ids=["now", "drained", "dead"]
)
def test_only_fresh_news_of_work_in_flight_is_running(folder: Path, in_flight: int, age: int, running: bool) -> None:
    updated = datetime.now(UTC) - timedelta(seconds=age)
    news = {"planned": 40, "stored": 28, "in_flight": in_flight, "updated": updated.isoformat()}
    (folder / "running.json").write_text(json.dumps(news))
    assert read_study(str(folder)).running is running


def test_parts_that_a_merging_driver_takes_away_are_listed_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = LocalFolder.names
    gone = iter([["trials/20260101T000000-0123456789abcdef.parquet"]] * 2)  # as listed on opening and on reading

    def listed(self: LocalFolder, subfolder: str) -> list[str]:
        return next(gone, names(self, subfolder)) if subfolder == "trials" else names(self, subfolder)

    monkeypatch.setattr(LocalFolder, "names", listed)
    store = Store.open(str(folder), create=False)
    assert len(store.read()) == 4
    assert not store.damaged
