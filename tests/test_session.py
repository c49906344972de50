"""A study run twice: the second time nothing is left to do, and nothing is started."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hptransfer import read_results
from hptransfer.session import Phases, run_study
from hptransfer.workspace import Options

STUDY = """
name: twice
model: {options: {head_size: 8}}
data: {source: synthetic, max_bytes: 20000}
training: {steps: 6, batch_size: 2, sequence_length: 8, precision: fp32, eval_tokens: 64}
base: {width: 16, depth: 1}
tune: {trials: 4, batch: 2, finalists: 1, finalist_seeds: 2}
grid: {rules: [supar], widths: [16, 32], lr: {octaves: [-10, -3]}, seeds: 2, search: SEARCH}
check: {enabled: false}
"""


def options(tmp_path: Path, search: str) -> Options:
    study = tmp_path / "twice.yaml"
    study.write_text(STUDY.replace("SEARCH", search))
    given = {"study": study, "results_dir": str(tmp_path / "results"), "executor": "local", "no_compile": True}
    return Options.from_command_line(given)


@pytest.mark.parametrize("search", ["fixed", "bracket"])
def test_a_finished_study_starts_nothing_and_ends_within_three_seconds(tmp_path, monkeypatch, search):
    everything = Phases(tune=True, check=True, grid=True)
    assert run_study(options(tmp_path, search), everything) == 0
    rows = read_results(str(tmp_path / "results" / "twice"))
    page = (tmp_path / "results" / "twice" / "report.html").stat().st_mtime_ns

    def no_executor(*args: object, **kwargs: object) -> None:
        raise AssertionError("an executor was started")

    monkeypatch.setattr("hptransfer.session.make_executor", no_executor)
    start = time.process_time()
    assert run_study(options(tmp_path, search), everything) == 0
    assert time.process_time() - start < 3
    assert set(read_results(str(tmp_path / "results" / "twice"))["trial_id"]) == set(rows["trial_id"])
    assert (tmp_path / "results" / "twice" / "report.html").stat().st_mtime_ns == page


def test_a_lost_row_of_a_finished_search_is_run_again(tmp_path):
    grid = Phases(grid=True)
    assert run_study(options(tmp_path, "bracket"), grid) == 0
    folder = tmp_path / "results" / "twice"
    before = set(read_results(str(folder))["trial_id"])
    next((folder / "trials").iterdir()).unlink()
    assert set(read_results(str(folder))["trial_id"]) < before
    assert run_study(options(tmp_path, "bracket"), grid) == 0
    assert set(read_results(str(folder))["trial_id"]) >= before
