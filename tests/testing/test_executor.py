"""Every executor that ships keeps its promises, and the suite finds the ones that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from broken import broken_rule

from hptransfer.common.seams import EXECUTORS
from hptransfer.execute.base import Launch, PackFailure, PackReport
from hptransfer.execute.local import LocalExecutor
from hptransfer.execute.pack import Pack
from hptransfer.testing import check_executor, executor
from hptransfer.testing.small import SETTINGS


@pytest.mark.parametrize("name", EXECUTORS.built_in)
def test_what_ships_keeps_its_promises(name: str, tmp_path: Path) -> None:
    workers = None if name == "local" else 2
    check_executor(name, Launch(SETTINGS, workers=workers, folder=str(tmp_path)))


class Losing(LocalExecutor):
    def submit(self, pack: Pack) -> None:
        if len(pack.trials) > 1:
            super().submit(pack)


class Doubling(LocalExecutor):
    def wait(self, timeout: float) -> list[PackReport]:
        return super().wait(timeout) * 2


class Reordering(LocalExecutor):
    def wait(self, timeout: float) -> list[PackReport]:
        return [replace(report, outcomes=report.outcomes[::-1]) for report in super().wait(timeout)]


class Raising(LocalExecutor):
    def wait(self, timeout: float) -> list[PackReport]:
        reports = super().wait(timeout)
        for report in reports:
            if report.failure is not None:
                raise RuntimeError(report.failure.text)
        return reports


class Vague(LocalExecutor):
    def wait(self, timeout: float) -> list[PackReport]:
        return [
            replace(report, failure=PackFailure("raised", text=report.failure.text)) if report.failure else report
            for report in super().wait(timeout)
        ]


class Forgetful(LocalExecutor):
    def drain(self) -> None:
        self._waiting.clear()


class Demanding(LocalExecutor):
    def __init__(self, launch: Launch) -> None:
        super().__init__(launch)
        raise OSError("no queue of that name")


class Once(LocalExecutor):
    closed = False

    def close(self) -> None:
        assert not self.closed, "closed already"
        self.closed = True


@pytest.mark.parametrize(
    ("kind", "rule", "found"),
    [
        (Losing, "Every pack comes back exactly once", "1 of 3 packs did not come back within 1 s"),
        (Doubling, "Every pack comes back exactly once", "came back twice"),
        (Reordering, "in their order", "outcomes ["),
        (Raising, "A trial that raises is a failure `raised`", "it raised RuntimeError"),
        (Vague, "A pack that does not fit is a failure `memory`", "kind='raised'"),
        (Forgetful, "After `drain` every pack still comes back", "4 of 4 packs did not come back"),
        (Demanding, "An executor starts with a Launch alone", "OSError: no queue of that name"),
        (Once, "`close` may be called twice", "closed already"),
    ],
)
def test_a_broken_one_is_told_which_rule_it_breaks(
    kind: type[LocalExecutor], rule: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "PATIENCE_S", 1.0)
    error = broken_rule(lambda: check_executor(kind), __file__)
    assert rule in error.rule
    assert found in error.found
