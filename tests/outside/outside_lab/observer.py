"""Everything an observer is told, as a line of JSON each in `events.jsonl` of the results folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hptransfer.execute.observer import Counts
from hptransfer.study.study import Study
from hptransfer.study.trial import CurvePoint


class JsonLines:
    """Appends, so that a study that goes on goes on here."""

    def started(self, study: Study, uri: str) -> None:
        """The file lies among the results."""
        self.path = Path(uri) / "events.jsonl"
        self._write("started", study=study.name)

    def counted(self, counts: Counts) -> None:
        """Where the sweep stands."""
        self._write("counted", planned=counts.planned, stored=counts.stored)

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        """A trial ended."""
        self._write("stored", trial_id=row["trial_id"], loss=row["loss"], points=len(curve))

    def message(self, text: str) -> None:
        """A line for a person."""
        self._write("message", text=text)

    def finished(self, counts: Counts, sentence: str) -> None:
        """The study ended."""
        self._write("finished", stored=counts.stored, sentence=sentence)

    def _write(self, event: str, **facts: object) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **facts}) + "\n")
