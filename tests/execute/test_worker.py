"""One pack in one process: what finished is kept, and one failure says why the rest did not."""

from __future__ import annotations

import os

from trials_for_executors import SETTINGS, a_trial

from hptransfer.execute.base import PackReport
from hptransfer.execute.pack import Pack
from hptransfer.execute.worker import run_pack
from hptransfer.study.trial import Trial


def run(*trials: Trial, stops: bool = False) -> PackReport:
    return run_pack(Pack("grid", trials), SETTINGS, lambda: stops)


def test_outcomes_come_in_order_with_the_place_they_come_from() -> None:
    trials = (a_trial(0), a_trial(1))
    report = run(*trials)
    assert [outcome.trial_id for outcome in report.outcomes] == [trial.id for trial in trials]
    assert (report.failure, report.unfinished, report.pid) == (None, (), os.getpid())
    assert report.wall_s > 0


def test_told_to_stop_it_ends_between_two_trials() -> None:
    report = run(a_trial(0), a_trial(1), a_trial(2), stops=True)
    assert len(report.outcomes) == 1
    assert report.failure is not None
    assert report.failure.kind == "dropped"
    assert [trial.seed for trial in report.unfinished] == [1, 2]
    assert run(a_trial(0), stops=True).failure is None  # nothing is left to drop


def test_a_trial_that_raises_is_what_is_left_with_its_traceback() -> None:
    sound, odd = a_trial(0, behaviour="raise_if_odd"), a_trial(1, behaviour="raise_if_odd", init_std=1.0)
    report = run(sound, odd)
    assert report.failure is not None
    assert report.failure.kind == "raised"
    assert "ValueError: this model does not train" in report.failure.text
    assert report.unfinished == (odd,)


def test_too_little_memory_is_told_from_other_failures() -> None:
    report = run(a_trial(0, behaviour="allocate"))
    assert report.failure is not None
    assert report.failure.kind == "memory"


def test_a_broken_contract_is_no_failure_of_a_trial() -> None:
    report = run(a_trial(0).model_copy(update={"trainer": "behaviours:ODD_INIT"}))
    assert report.failure is not None
    assert report.failure.kind == "breach"
    assert "breaks the contract of its seam: a trainer is a function or has `train`" in report.failure.text
