"""What observers are told by a real sweep, and that one which raises costs no more than itself."""

from __future__ import annotations

import json
import math
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from trials_for_executors import SETTINGS, a_trial

from hptransfer.execute.base import Executor, Launch
from hptransfer.execute.local import LocalExecutor
from hptransfer.execute.observer import Counts, Observer, Observers
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.study.trial import CurvePoint, Trial

STUDY = Study.model_validate({"name": "s"})


def local() -> Executor:
    return LocalExecutor(Launch(SETTINGS))


class Notes(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def started(self, study: Study, uri: str) -> None:
        self.told.append(("started", study.name))

    def counted(self, counts: Counts) -> None:
        self.told.append(("counted", counts))

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        self.told.append(("stored", (dict(row), tuple(curve))))

    def message(self, text: str) -> None:
        self.told.append(("message", text))

    def finished(self, counts: Counts, sentence: str) -> None:
        self.told.append(("finished", sentence))

    def all(self, what: str) -> list[Any]:
        return [fact for name, fact in self.told if name == what]


class Raises(Observer):
    """Raises when it is told of a row."""

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        raise ValueError("no such tracker")


class Leaves(Observer):
    """Raises what is no Exception when it is told of a row, as command-line or asynchronous code does."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        raise self.error


class Scribbles(Observer):
    """Writes into what it is told."""

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        row.clear()  # type: ignore[attr-defined]


def observed(folder: Path, trials: Sequence[Trial], *observers: Observer) -> Store:
    store = Store.open(str(folder / "s"), "s")
    with store.lock(), Runner(store, local, observers, "s") as runner:
        assert list(runner.run(trials, "grid")) or runner.failed
    return store


def test_rows_are_told_once_with_their_curve_and_only_those_of_this_run(tmp_path: Path) -> None:
    observed(tmp_path, [a_trial(0)])
    notes = Notes()
    store = observed(tmp_path, [a_trial(0), a_trial(1), a_trial(2)], notes)
    told = {row["trial_id"]: (row, curve) for row, curve in notes.all("stored")}
    assert list(told) == [a_trial(1).id, a_trial(2).id]
    stored, points = store.read().set_index("trial_id"), store.read_curves()
    for trial_id, (row, curve) in told.items():
        assert row["loss"] == stored.loc[trial_id, "loss"]
        assert curve
        assert [point.step for point in curve] == list(points[points["trial_id"] == trial_id]["step"])


def test_a_row_is_safe_when_it_is_told(tmp_path: Path) -> None:
    class Looks(Observer):
        def __init__(self) -> None:
            self.safe: list[bool] = []

        def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
            self.safe.append(row["trial_id"] in Store.open(str(tmp_path / "s")).ids())

    looks = Looks()
    observed(tmp_path, [a_trial(0)], looks)
    assert looks.safe == [True]


def test_counts_come_while_trials_run_and_last_when_none_does(tmp_path: Path) -> None:
    notes = Notes()
    observed(tmp_path, [a_trial(0), a_trial(1)], notes)
    counts = notes.all("counted")
    assert all(count.in_flight for count in counts[:-1])
    assert (counts[-1].in_flight, counts[-1].stored, counts[-1].planned) == (0, 2, 2)


def test_a_trial_that_fails_is_a_message(tmp_path: Path) -> None:
    notes = Notes()
    observed(tmp_path, [a_trial(0, behaviour="raise")], notes)
    (text,) = notes.all("message")
    assert text.startswith(f"trial {a_trial(0, behaviour='raise').id} failed: raised")
    assert notes.all("stored") == []


def test_an_observer_that_raises_is_named_once_and_the_others_and_the_study_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = Notes()
    store = observed(tmp_path, [a_trial(seed) for seed in range(3)], Raises(), notes)
    said = capsys.readouterr().err
    assert said.count("raised ValueError: no such tracker") == 1
    assert "test_observer:Raises" in said
    assert __file__ in said
    assert "(in stored)" in said
    assert len(notes.all("stored")) == 3
    assert len(store.ids()) == 3


@pytest.mark.parametrize("error", [SystemExit(3), CancelledError(3)], ids=["exit", "cancelled"])
def test_an_observer_that_leaves_does_not_take_the_study_with_it(
    error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = observed(tmp_path, [a_trial(0), a_trial(1)], Leaves(error))
    assert "Leaves" in (said := capsys.readouterr().err)
    assert f"raised {type(error).__name__}: 3 (in stored)" in said
    assert len(store.ids()) == 2


def test_an_observer_cannot_write_into_a_row(tmp_path: Path) -> None:
    notes = Notes()
    store = Store.open(str(tmp_path / "s"), "s")
    with store.lock(), Runner(store, local, [Scribbles(), notes], "s") as runner:
        (row,) = runner.run([a_trial(0)], "grid").values()
    assert row["trial_id"] == notes.all("stored")[0][0]["trial_id"] == a_trial(0).id


def test_the_end_is_told_once_however_often_it_comes() -> None:
    notes = Notes()
    observers = Observers([notes])
    observers.started(STUDY, "results/s")
    observers.finished(Counts(), "STABLE")
    observers.finished(Counts(), "")
    observers.counted(Counts())
    assert notes.told == [("started", "s"), ("finished", "STABLE")]


def test_an_observer_of_one_method_is_enough() -> None:
    class Last(Observer):
        sentence = ""

        def finished(self, counts: Counts, sentence: str) -> None:
            self.sentence = sentence

    last = Last()
    observers = Observers([last])
    observers.started(STUDY, "results/s")
    observers.counted(Counts())
    observers.stored({}, ())
    observers.message("text")
    observers.finished(Counts(), "DRIFT")
    assert last.sentence == "DRIFT"


def test_the_line_of_counts_says_it_all() -> None:
    counts = Counts(
        planned=10, stored=4, diverged=1, failed=2, in_flight=2, workers=2, best_loss=2.5, eta_s=185, phase="grid"
    )
    assert counts.line() == "grid 4/10 · 3m 05s left · best loss 2.5000 · 1 diverged · 2 failed · 2 workers"
    assert Counts(planned=2, stored=2, eta_s=math.nan, phase="tune").line() == "tune 2/2 · 0 diverged · 0 failed"
    assert json.loads(json.dumps(asdict(Counts(planned=3))))["planned"] == 3


class Meddles(Observer):
    """Changes the study it is told of."""

    def started(self, study: Study, uri: str) -> None:
        study.grid.variants["theirs"] = {"training.steps": 1}


def test_an_observer_that_leaves_leaves_alone(capsys: pytest.CaptureFixture[str]) -> None:
    notes = Notes()
    observers = Observers([Leaves(SystemExit(3)), notes])
    observers.stored({"trial_id": "a"}, ())
    observers.stored({"trial_id": "b"}, ())
    assert len(notes.all("stored")) == 2
    assert capsys.readouterr().err.count("raised SystemExit: 3 (in stored); it is told no more") == 1


def test_an_observer_cannot_change_the_study() -> None:
    study = Study.model_validate({"name": "s"})
    Observers([Meddles()]).started(study, "somewhere")
    assert study.grid.variants == {}
