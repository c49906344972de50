"""Rows that came from elsewhere: read as they are, and said to be unverified."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from stored_rows import fill

from hptransfer.common.errors import InputError
from hptransfer.store.folders import open_folder
from hptransfer.store.foreign import UNVERIFIED, foreign_files, read_unverified
from hptransfer.store.read_results import read_study
from hptransfer.store.store import Store

ROWS = pd.DataFrame(
    {"trial_id": ["a", "b", "c"], "width": [64, 64, 128], "lr": [0.5, 0.25, 0.5], "loss": [3.0, 2.0, 1.0]}
)


def read(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    problems: list[str] = []
    opened = open_folder(str(folder), create=False)
    return read_unverified(opened, foreign_files(opened), problems), problems


def test_loose_files_are_read_as_they_are(tmp_path: Path) -> None:
    ROWS.drop(columns="trial_id").to_parquet(tmp_path / "theirs.parquet")
    ROWS.to_parquet(tmp_path / "check.parquet")  # the name of our coordinate check, which holds no trials
    frame, problems = read(tmp_path)
    pd.testing.assert_frame_equal(frame, ROWS.drop(columns="trial_id"))
    assert problems == []


def test_files_in_trials_come_before_loose_ones_and_equal_ids_count_once(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    ROWS[:2].to_parquet(tmp_path / "trials" / "a.parquet")
    ROWS[1:].assign(loss=9.0).to_parquet(tmp_path / "trials" / "b.parquet")
    ROWS.to_parquet(tmp_path / "loose.parquet")
    frame, _ = read(tmp_path)
    assert frame["trial_id"].tolist() == ["a", "b", "c"]
    assert frame["loss"].tolist() == [3.0, 2.0, 9.0]


def test_what_cannot_be_read_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    ROWS.to_parquet(tmp_path / "good.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    frame, problems = read(tmp_path)
    assert len(frame) == 3
    assert [problem.split(" ")[0] for problem in problems] == ["bad.parquet"]


def test_a_newer_schema_is_refused_here_too(tmp_path: Path) -> None:
    ROWS.assign(schema_version=[1, 1, 99]).to_parquet(tmp_path / "theirs.parquet")
    with pytest.raises(InputError, match="newer hptransfer"):
        read(tmp_path)


def test_a_store_is_not_foreign_and_is_not_read_here(tmp_path: Path) -> None:
    fill(Store.open(str(tmp_path), "s"), range(1))
    ROWS.to_parquet(tmp_path / "loose.parquet")
    assert foreign_files(open_folder(str(tmp_path), create=False)) == []
    assert read_study(str(tmp_path)).problems == ()


def test_a_study_of_such_rows_says_that_nothing_is_verified(tmp_path: Path) -> None:
    ROWS.to_parquet(tmp_path / "theirs.parquet")
    stored = read_study(str(tmp_path))
    assert stored.problems == (UNVERIFIED,)
    assert stored.curves.empty
    assert len(stored.frame) == 3
