"""An open page follows a running study: rewritten when there is news and time has passed, seldom where it is dear."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hptransfer.drive.page_observer import PageObserver
from hptransfer.execute.observer import Counts
from hptransfer.study.study import Study

RESULTS = Path(__file__).parents[2] / "results" / "quickstart"
STUDY = Study.model_validate({"name": "quickstart"})


class Clock:
    """Time as the test sets it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hptransfer.drive.page_observer.time", clock)
    return clock


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Where the page of a copied results folder belongs; there is none yet."""
    shutil.copytree(RESULTS, tmp_path / "copy", ignore=shutil.ignore_patterns("plots", "report.html"))
    return tmp_path / "copy" / "report.html"


def test_the_page_is_written_after_a_while_and_again_only_when_there_is_news(page: Path, clock: Clock) -> None:
    observer = PageObserver(every_s=60)
    observer.started(STUDY, str(page.parent))
    clock.now += 59
    observer.counted(Counts(planned=9, stored=3, in_flight=1))
    assert not page.exists(), "too soon"
    clock.now += 2
    observer.counted(Counts(planned=9, stored=3, in_flight=1))
    assert page.read_text().startswith("<!doctype html>")
    page.unlink()
    clock.now += 61
    observer.counted(Counts(planned=9, stored=3, in_flight=1))
    assert not page.exists(), "no news"
    observer.counted(Counts(planned=9, stored=4, in_flight=1))
    assert page.exists()


def test_the_pause_grows_with_what_writing_takes(page: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(results: object) -> str:
        clock.now += 10
        return "page"

    monkeypatch.setattr("hptransfer.drive.page_observer.render_report", slow)
    observer = PageObserver(every_s=60)
    observer.started(STUDY, str(page.parent))
    clock.now += 61
    observer.counted(Counts(stored=1))
    page.unlink()
    clock.now += 499
    observer.counted(Counts(stored=2))
    assert not page.exists(), "ten seconds of writing buy five hundred without"
    clock.now += 2
    observer.counted(Counts(stored=2))
    assert page.exists()
