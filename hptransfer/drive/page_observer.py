"""The observer that rewrites report.html now and then, so that an open page follows a running study."""

from __future__ import annotations

import time

from hptransfer.analysis.results import load_results
from hptransfer.execute.observer import Counts, Observer
from hptransfer.report.page import render_report
from hptransfer.store.file_names import REPORT_FILE
from hptransfer.store.store import Store
from hptransfer.study.study import Study

__all__ = ["PageObserver"]


class PageObserver(Observer):
    """Writes the page when there is news and `every_s` seconds have passed.

    The pause grows with what writing takes, so that reporting stays below a fiftieth of the run.
    """

    def __init__(self, every_s: float = 60.0) -> None:
        self._every, self._stored = every_s, -1

    def started(self, study: Study, uri: str) -> None:
        self._store, self._written = Store.open(uri, study.name, create=False), time.monotonic()

    def counted(self, counts: Counts) -> None:
        now = time.monotonic()
        if counts.stored == self._stored or now - self._written < self._every:
            return
        self._store.write_text(REPORT_FILE, render_report(load_results(self._store.uri)))
        self._stored, self._written = counts.stored, time.monotonic()
        self._every = max(self._every, 50 * (self._written - now))
