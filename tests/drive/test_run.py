"""A study run twice: the second time nothing is left to do, and nothing is started."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hptransfer import read_results
from hptransfer.common.errors import InputError
from hptransfer.common.seams import source_digest
from hptransfer.drive.plan import plan_of
from hptransfer.drive.request import Request
from hptransfer.drive.run import Phases, run_study
from hptransfer.store.read_results import read_study

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


def request_of(tmp_path: Path, search: str) -> Request:
    study = tmp_path / "twice.yaml"
    study.write_text(STUDY.replace("SEARCH", search))
    given = {"study": study, "results_dir": str(tmp_path / "results"), "executor": "local", "no_compile": True}
    return Request.from_command_line(given)


@pytest.mark.parametrize("search", ["fixed", "bracket"])
def test_a_finished_study_starts_nothing_and_ends_within_three_seconds(tmp_path, monkeypatch, search):
    everything = Phases(tune=True, check=True, grid=True)
    assert run_study(request_of(tmp_path, search), everything) == 0
    rows = read_results(str(tmp_path / "results" / "twice"))
    page = (tmp_path / "results" / "twice" / "report.html").stat().st_mtime_ns

    def no_executor(*args: object, **kwargs: object) -> None:
        raise AssertionError("an executor was started")

    monkeypatch.setattr("hptransfer.drive.run.make_executor", no_executor)
    start = time.process_time()
    assert run_study(request_of(tmp_path, search), everything) == 0
    assert time.process_time() - start < 3
    assert set(read_results(str(tmp_path / "results" / "twice"))["trial_id"]) == set(rows["trial_id"])
    assert (tmp_path / "results" / "twice" / "report.html").stat().st_mtime_ns == page


def test_a_lost_row_of_a_finished_search_is_run_again(tmp_path):
    grid = Phases(grid=True)
    assert run_study(request_of(tmp_path, "bracket"), grid) == 0
    folder = tmp_path / "results" / "twice"
    before = set(read_results(str(folder))["trial_id"])
    next((folder / "trials").iterdir()).unlink()
    assert set(read_results(str(folder))["trial_id"]) < before
    assert run_study(request_of(tmp_path, "bracket"), grid) == 0
    assert set(read_results(str(folder))["trial_id"]) >= before


def test_an_untuned_study_has_the_last_word_on_its_base(tmp_path):
    """base.json of a study without a search is a copy of the study's own base, and no more than that."""
    text = STUDY.replace("tune: {trials: 4, batch: 2, finalists: 1, finalist_seeds: 2}\n", "").replace(
        "lr: {octaves: [-10, -3]}", "lr: [2^-7]"
    )
    study = tmp_path / "twice.yaml"
    for init in (0.02, 0.08):
        study.write_text(text.replace("SEARCH", "fixed").replace("depth: 1}", f"depth: 1, init_std: {init}}}"))
        given = {"study": study, "results_dir": str(tmp_path / "results"), "executor": "local", "no_compile": True}
        assert run_study(Request.from_command_line(given), Phases(tune=True, grid=True)) == 0
    rows = read_results(str(tmp_path / "results" / "twice"))
    assert sorted(rows["init_std"].unique()) == [0.02, 0.08]


def test_a_verdict_does_not_outlive_the_rows_it_was_given_on(tmp_path):
    """Rows of two batch sizes cannot be judged together: the old verdict goes."""
    study, verdict = tmp_path / "twice.yaml", tmp_path / "results" / "twice" / "verdict.json"
    for batch in (2, 4):
        text = STUDY.replace("SEARCH", "fixed").replace("batch_size: 2", f"batch_size: {batch}")
        study.write_text(text)
        given = {"study": study, "results_dir": str(tmp_path / "results"), "executor": "local", "no_compile": True}
        assert run_study(Request.from_command_line(given), Phases(grid=True)) == 0
        assert verdict.exists() == (batch == 2)


OWN = """
class Axis:
    name, label = "my_axis:Axis", "ε"

    def at_base(self, base):
        return 1e-8

    def put(self, trial, value):
        return trial.model_copy(update={"training": trial.training.model_copy(update={"eps": value})})
"""
SWEEPS = "lr: [2^-7], sweep: {weight_decay: {multiples: [1/2, 1]}, 'my_axis:Axis': {values: [1e-8, 1e-6]}}"


def test_any_axis_runs_from_a_study_file_and_a_changed_source_is_not_mixed_in(tmp_path, capsys):
    text = STUDY.replace("SEARCH", "fixed").replace("lr: {octaves: [-10, -3]}", SWEEPS)
    (tmp_path / "twice.yaml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("tune")))
    (tmp_path / "my_axis.py").write_text(OWN)

    def run(**more: object) -> int:
        given = {"study": tmp_path / "twice.yaml", "results_dir": str(tmp_path), "executor": "local"}
        return run_study(Request.from_command_line(given | {"no_compile": True, **more}), Phases(grid=True))

    assert run() == 0
    rows = read_results(str(tmp_path / "twice"))
    assert len(rows) == 2 * 2 * 2 * 2  # widths, decays, epsilons, seeds
    assert sorted(rows["weight_decay"].unique()) == [0.05, 0.1]
    assert set(rows["axes"]) == {'{"my_axis:Axis": 1e-08}', '{"my_axis:Axis": 1e-06}'}
    tensors = json.loads((tmp_path / "twice" / "tensors.json").read_text())
    assert (tensors["width"], list(tensors["rules"])) == (32, ["supar"])
    (tmp_path / "my_axis.py").write_text(OWN + "# changed\n")
    source_digest.cache_clear()  # as in a process of its own
    with pytest.raises(InputError, match=r"my_axis:Axis has changed since 16 stored trials.*--same-numbers"):
        run()
    assert run(same_numbers=True) == 0
    assert len(read_results(str(tmp_path / "twice"))) == 16


def test_a_direct_search_runs_in_every_cell_and_is_not_run_again(tmp_path, monkeypatch):
    request_of(tmp_path, "fixed")
    study = tmp_path / "twice.yaml"
    study.write_text(study.read_text() + "direct: {lr_multiples: [1/4, 1/2, 1, 2, 4]}\n")
    everything = Phases(tune=True, grid=True)
    request = Request.from_command_line(
        {"study": study, "results_dir": str(tmp_path / "results"), "executor": "local", "no_compile": True}
    )
    assert run_study(request, everything) == 0
    folder = tmp_path / "results" / "twice"
    cells = json.loads((folder / "direct.json").read_text())["cells"]
    assert [(cell["rule"], cell["width"]) for cell in cells] == [("supar", 16), ("supar", 32)]
    rows = read_results(str(folder)).set_index("trial_id")
    for cell in cells:
        line = rows.loc[cell["line"]]
        assert len(line) == 5 * 2
        assert set(line["width"]) == {cell["width"]}
        assert set(rows.loc[cell["transferred"], "lr"]) == {json.loads((folder / "base.json").read_text())["lr"]}
    assert "Tuned directly" in (folder / "report.html").read_text()

    def asked_again(*args: object) -> None:
        raise AssertionError("the searches were run again")

    monkeypatch.setattr("hptransfer.drive.run.search_directly", asked_again)
    assert run_study(request, everything) == 0
    study.write_text(study.read_text().replace("seeds: 2", "seeds: 3"))
    with pytest.raises(AssertionError, match="run again"):
        run_study(Request.from_command_line({"study": study, "results_dir": str(tmp_path / "results")}), everything)


def test_a_plan_counts_the_direct_searches(tmp_path):
    request_of(tmp_path, "fixed")
    study = tmp_path / "twice.yaml"
    study.write_text(study.read_text() + "direct: {lr_multiples: [1/4, 1/2, 1, 2, 4]}\n")
    plan = plan_of(Request.from_command_line({"study": study, "results_dir": str(tmp_path)}), calibrate=False)
    (direct,) = (phase for phase in plan.phases if phase.phase == "direct")
    assert (direct.planned, direct.stored) == (2 * (4 + 1 * 2 + (5 + 1) * 2), 0)


def test_an_odd_direct_file_is_named_and_the_rest_is_read(tmp_path):
    assert run_study(request_of(tmp_path, "fixed"), Phases(grid=True)) == 0
    folder = tmp_path / "results" / "twice"
    for content in ('{"cells": [{}]}', '{"cells": 3}'):
        (folder / "direct.json").write_text(content)
        read = read_study(str(folder))
        assert read.direct == ()
        assert any("direct.json" in problem for problem in read.problems)


def test_a_wrong_model_is_refused_before_its_search_is_paid_for(tmp_path, capsys):
    checked = "{steps: 1, seeds: 4, widths: [16, 64]}"
    text = STUDY.replace("SEARCH", "fixed").replace("check: {enabled: false}", f"check: {checked}")
    study = tmp_path / "twice.yaml"
    study.write_text(text.replace("{options: {head_size: 8}}", "{factory: users_models:wrong_at_width}"))
    given = {"study": study, "results_dir": str(tmp_path / "results"), "executor": "local", "no_compile": True}
    for _ in range(2):  # the second time from what is stored
        assert run_study(Request.from_command_line(given), Phases(tune=True, check=True, grid=True)) == 1
        said = capsys.readouterr()
        assert "supar fails over width" in said.out
        assert "Nothing was tuned: mend the model or the rule, or add --no-check." in said.err
    folder = tmp_path / "results" / "twice"
    assert not list(folder.glob("trials/*"))
    assert "supar fails over width" in (folder / "report.html").read_text()


def test_a_check_that_stays_open_does_not_stop_what_was_paid_for(tmp_path, capsys):
    few_seeds = "check: {steps: 1, seeds: 2, max_seeds: 2, widths: [16, 32]}"
    study = tmp_path / "twice.yaml"
    study.write_text(STUDY.replace("SEARCH", "fixed").replace("check: {enabled: false}", few_seeds))
    given = {"study": study, "results_dir": str(tmp_path / "results"), "executor": "local", "no_compile": True}
    assert run_study(Request.from_command_line(given), Phases(tune=True, check=True, grid=True)) == 0
    said = capsys.readouterr()
    assert "INCONCLUSIVE over width, which is no pass" in said.out
    assert "The sweep goes on: nothing is shown to be wrong" in said.err
    rows = read_study(str(tmp_path / "results" / "twice")).frame
    assert {"tune", "grid"} <= set(rows["phase"])
