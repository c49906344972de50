"""Every observer that ships keeps its promises, and the suite finds the ones that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from broken import broken_rule

from hptransfer.common.seams import OBSERVERS
from hptransfer.execute.observer import Counts
from hptransfer.study.study import Study
from hptransfer.study.trial import CurvePoint
from hptransfer.testing import check_observer


@pytest.mark.parametrize("name", OBSERVERS.built_in)
def test_what_ships_keeps_its_promises(name: str) -> None:
    check_observer(name)


class Listening:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, study: Study, uri: str) -> None:
        self.told = ["started"]

    def counted(self, counts: Counts) -> None:
        self.told.append("counted")

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        self.told.append("stored")

    def message(self, text: str) -> None:
        self.told.append("message")

    def finished(self, counts: Counts, sentence: str) -> None:
        self.told.append("finished")


def test_one_that_only_listens_does_too_and_hears_a_study_in_order() -> None:
    observer = Listening()
    check_observer(observer)
    assert observer.told == ["started", "counted", "stored", "finished"]


class Answering(Listening):
    def counted(self, counts: Counts) -> Any:
        return "stop"


class Choosy(Listening):
    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        assert "a_column_of_a_later_version" not in row, "an unknown column"


class Hasty(Listening):
    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        curve[-1]


class Impatient(Listening):
    def finished(self, counts: Counts, sentence: str) -> None:
        assert "counted" in self.told, "finished out of order"


class Marking(Listening):
    def stored(self, row: Any, curve: Sequence[CurvePoint]) -> None:
        row["seen"] = True


@pytest.mark.parametrize(
    ("observer", "rule", "found"),
    [
        (Answering, "It takes every call in the documented order", "counted returns 'stop'"),
        (Choosy, "It takes a row with columns that it does not know", "an unknown column"),
        (Hasty, "and a run without a curve", "IndexError"),
        (Impatient, "ends before anything was counted", "finished out of order"),
        (Marking, "It leaves the row as it was", "seen changed"),
    ],
)
def test_a_broken_one_is_told_which_rule_it_breaks(observer: type[Listening], rule: str, found: str) -> None:
    error = broken_rule(lambda: check_observer(observer), __file__)
    assert rule in error.rule
    assert found in error.found


def test_one_that_lacks_a_call_is_named_with_it() -> None:
    class Half:
        def started(self, study: Study, uri: str) -> None: ...

    error = broken_rule(lambda: check_observer(Half), __file__)
    assert "lacks counted, stored, message, finished" in error.found
