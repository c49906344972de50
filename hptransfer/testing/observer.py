"""What holds for every observer (`hptransfer.execute.observer`)."""

from __future__ import annotations

import copy
import math
import tempfile
from typing import Any

from hptransfer.common.seams import OBSERVERS
from hptransfer.execute.observer import Counts, Observer
from hptransfer.store.columns import row_of
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.study.trial import CurvePoint, Outcome
from hptransfer.testing.contract import entry_of, expect, hold
from hptransfer.testing.small import small_trial

__all__ = ["check_observer"]


def check_observer(observer: object) -> None:
    """Hold an observer, by name or as it is, to every rule; raises ContractError. It is told of a study in a folder of
    the suite's own."""
    hold(entry_of(OBSERVERS, observer), RULES)


def _row(loss: float = 2.5, **further: Any) -> dict[str, Any]:
    """A row as the store has it."""
    outcome = Outcome(
        trial_id=small_trial().id,
        status="ok" if math.isfinite(loss) else "diverged",
        loss=loss,
        train_loss=loss,
        diverged_step=None if math.isfinite(loss) else 2,
        params=10,
        params_nonzero=10,
        flops_dense=1e6,
        flops_nonzero=1e6,
        tokens=64,
        wall_s=0.1,
        peak_memory_bytes=1000,
        device="cpu",
    )
    return row_of("watched", "grid", small_trial(), outcome) | further


def _tell(observer: Observer, *told: tuple[str, tuple[Any, ...]]) -> None:
    """A study from its start, in a folder that exists meanwhile, and what is told of it."""
    with tempfile.TemporaryDirectory() as folder:
        study = Study(name="watched")
        store = Store.open(f"{folder}/watched", study.name)
        for what, facts in (("started", (study, store.uri)), *told):
            answer = getattr(observer, what)(*facts)
            expect(answer is None, f"{what} returns {answer!r}: an observer only looks")


def it_comes_through_a_study(observer: Observer) -> None:
    """It takes every call in the documented order: started, counted, stored, message, counted, finished."""
    before, after = Counts(planned=2, in_flight=2, workers=1, phase="grid"), Counts(planned=2, stored=1, failed=1)
    curve = (CurvePoint(1, 3.0), CurvePoint(4, 2.5, 2.6))
    _tell(
        observer,
        ("counted", (Counts(),)),
        ("counted", (before,)),
        ("stored", (_row(), curve)),
        ("message", ("trial 0 failed: raised",)),
        ("counted", (after,)),
        ("finished", (after, "supar: STABLE")),
    )


def it_takes_rows_of_later_versions(observer: Observer) -> None:
    """It takes a row with columns that it does not know, a diverged one, and a run without a curve."""
    _tell(
        observer,
        ("counted", (Counts(planned=1, in_flight=1, workers=1),)),
        ("stored", (_row(a_column_of_a_later_version={"nested": [1]}), ())),
        ("stored", (_row(math.nan), (CurvePoint(1, math.nan, math.inf),))),
        ("finished", (Counts(planned=1, stored=1), "")),
    )


def it_takes_a_study_that_has_run(observer: Observer) -> None:
    """It takes a study of which nothing is left to run."""
    _tell(observer, ("counted", (Counts(planned=3, stored=3),)), ("finished", (Counts(planned=3, stored=3), "")))


def it_takes_a_study_that_is_interrupted(observer: Observer) -> None:
    """It takes a study that ends before anything was counted or stored."""
    _tell(observer, ("finished", (Counts(), "")))


def what_it_is_told_stays_as_it_was(observer: Observer) -> None:
    """It leaves the row as it was: others are told of it too."""
    row = _row()
    before = copy.deepcopy(row)
    _tell(
        observer,
        ("counted", (Counts(planned=1, in_flight=1, workers=1),)),
        ("stored", (row, ())),
        ("finished", (Counts(planned=1, stored=1), "")),
    )
    changed = [key for key in row.keys() | before.keys() if row.get(key) != before.get(key)]
    expect(not changed, f"{', '.join(map(str, sorted(changed)))} changed")


RULES = (
    it_comes_through_a_study,
    it_takes_rows_of_later_versions,
    it_takes_a_study_that_has_run,
    it_takes_a_study_that_is_interrupted,
    what_it_is_told_stays_as_it_was,
)
