"""The arithmetic behind the progress line, on packs made by hand."""

from __future__ import annotations

import math

import pytest
from trials_for_executors import a_trial

from hptransfer.execute.base import PackReport
from hptransfer.execute.observer import Counts
from hptransfer.execute.pack import Pack
from hptransfer.execute.tally import Tally


def counts(tally: Tally) -> Counts:
    return tally.counts(failed=0, in_flight=0, workers=1)


def test_a_row_counts_once_and_the_best_loss_is_that_of_a_run_that_ended() -> None:
    tally = Tally()
    tally.plan(["a", "b", "c"], "grid")
    for row in (
        {"trial_id": "a", "status": "ok", "loss": 2.0},
        {"trial_id": "a", "status": "ok", "loss": 1.0},
        {"trial_id": "b", "status": "diverged", "loss": math.nan},
        {"trial_id": "c", "status": "ok", "loss": 2.5},
    ):
        tally.done_row(row)
    found = counts(tally)
    assert (found.planned, found.stored, found.diverged, found.best_loss) == (3, 3, 1, 2.0)
    assert found.phase == "grid"


def test_what_is_announced_counts_as_planned_until_more_is_asked() -> None:
    tally = Tally(expected=5)
    tally.plan(["a"], "tune")
    assert counts(tally).planned == 5
    tally.plan([str(i) for i in range(6)], "tune")
    assert counts(tally).planned == 7


def test_the_time_left_is_by_the_work_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    tally = Tally()
    small, large = Pack("grid", (a_trial(0),), 1.0), Pack("grid", (a_trial(1),), 3.0)
    tally.queued(small)
    tally.queued(large)
    tally.start()
    assert math.isnan(counts(tally).eta_s)
    now += 10
    outcome = object()
    tally.landed(PackReport(small, (outcome,), None, "", 0, 8.0))  # type: ignore[arg-type]
    assert counts(tally).eta_s == pytest.approx(30.0)  # a quarter of the work took ten seconds
    assert tally.pack_wall_s == 8.0
    tally.landed(PackReport(large, (), None, "", 0, 18.0))  # it came to nothing and is queued again
    tally.queued(large)
    assert counts(tally).eta_s == pytest.approx(30.0)
    assert tally.pack_wall_s == pytest.approx(8.0 + 0.3 * 10.0)
