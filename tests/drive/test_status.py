"""How far a study is, by what its folder holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hptransfer.common.errors import InputError
from hptransfer.drive.status import status_of
from hptransfer.store.store import Store

QUICKSTART = Path(__file__).parents[2] / "results" / "quickstart"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a committed study."""
    return Path(shutil.copytree(QUICKSTART, tmp_path / "quickstart"))


def test_a_finished_study_is_its_rows(folder: Path) -> None:
    status = status_of(str(folder))
    rows = len(Store.open(str(folder), create=False).ids())
    assert (status.stored, status.failed, status.in_flight, status.running) == (rows, 0, 0, False)
    assert status.planned >= rows


def test_a_failed_trial_is_one_with_a_log_and_no_row(folder: Path) -> None:
    (folder / "running.json").write_text(json.dumps({"planned": 0, "in_flight": 3, "updated": "then"}))
    (folder / "failed").mkdir(exist_ok=True)
    (folder / "failed" / "abc.log").write_text("raised")
    status = status_of(str(folder))
    assert (status.failed, status.planned, status.updated) == (1, status.stored + 1, "then")
    assert status.in_flight == 0  # nobody is running it
    assert set(status.to_json()) == {"planned", "stored", "diverged", "failed", "in_flight", "running"}


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no study"):
        status_of(str(tmp_path))
