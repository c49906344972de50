"""What a command line asks for: its study, where the results live, and whose code can be imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hptransfer.drive.request import Request, results_uri
from hptransfer.tasks.data.sources import open_corpus


def request(path: Path, **given: Any) -> Request:
    return Request.from_command_line({"study": path, "results_dir": "results"} | given)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "my study.yaml"
    path.write_text("name: s\ndata: {source: synthetic, max_bytes: 20000}\ngrid: {seeds: 1}")
    return path


def test_overrides_and_the_search_reach_the_study_and_its_warnings_are_told(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = request(study, overrides=["grid.widths=[32,64]"], search="bracket")
    assert (asked.study.grid.widths, asked.study.grid.search) == ((32, 64), "bracket")
    assert "warning: one seed" in capsys.readouterr().err


def test_what_is_not_said_has_its_default(study: Path) -> None:
    asked = request(study)
    assert (asked.results, asked.executor, asked.base, asked.same_numbers) == ("results/s", "local", None, False)
    assert (asked.settings.device, asked.settings.compile) == ("auto", "auto")
    assert asked.data_id == open_corpus(asked.study.data).fingerprint


def test_the_studys_folder_can_be_imported_from_here_and_by_workers(study: Path, tmp_path: Path) -> None:
    asked = request(study)
    assert str(tmp_path) in sys.path
    assert asked.settings.sys_path == (str(Path.cwd()), str(tmp_path))


def test_the_study_is_named_as_a_further_command_needs_it(study: Path, tmp_path: Path) -> None:
    assert request(study).named == f"'{study}'"
    assert request(study, results_dir="elsewhere").named == f"'{study}' --results elsewhere"
    changed = request(study, overrides=("grid.seeds=2", "grid.widths=[16,32]"), search="bracket")
    assert changed.named == f"'{study}' --set grid.seeds=2 --set 'grid.widths=[16,32]' --set grid.search=bracket"


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("results", "results/s"),
        ("results/", "results/s"),
        ("s3://bucket/deep", "s3://bucket/deep/s"),
        ("s3://bucket/deep?region=x&scheme=http", "s3://bucket/deep/s?region=x&scheme=http"),
    ],
)
def test_a_study_lies_below_its_folder_whatever_follows_in_a_uri(folder, found):
    assert results_uri(folder, "s") == found
