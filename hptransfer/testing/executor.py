"""What holds for every executor (`hptransfer.execute.base`)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from hptransfer.common.seams import EXECUTORS
from hptransfer.execute.base import Executor, Launch, PackReport
from hptransfer.execute.executors import make_executor
from hptransfer.execute.pack import Pack
from hptransfer.execute.worker import run_pack
from hptransfer.study.base import BaseHPs
from hptransfer.study.trial import Trial
from hptransfer.testing.contract import ContractError, expect, hold, written_entry
from hptransfer.testing.small import SETTINGS, WIDE_INIT, small_trial
from hptransfer.training.settings import WorkerSettings

__all__ = ["check_executor"]

PATIENCE_S = 120.0
"""How long to wait for the next pack before it counts as lost; starting a worker takes seconds."""


def check_executor(executor: str | type[Executor], launch: Launch | None = None) -> None:
    """Start an executor, hold it to every rule and close it; raises ContractError. What it is started with is
    `launch`, by default small trials' settings and nothing else."""
    launch = launch or Launch(SETTINGS)
    entry = written_entry(EXECUTORS, executor)
    try:
        started = make_executor(executor, launch) if isinstance(executor, str) else executor(launch)
    except Exception as error:  # an outside entry may raise anything
        rule = "An executor starts with a Launch alone."
        raise ContractError(entry.kind, entry.name, entry.file, rule, f"{type(error).__name__}: {error}") from error
    entry = replace(entry, thing=started)
    try:
        hold(entry, RULES, launch.settings)
    finally:
        started.close()
    hold(entry, (closing_twice_is_allowed,))


def _packs(*packs: Sequence[Trial]) -> list[Pack]:
    return [Pack("grid", tuple(trials)) for trials in packs]


def _run(executor: Executor, packs: Sequence[Pack]) -> dict[str, PackReport]:
    """Every report by its pack's id; expects each exactly once."""
    for pack in packs:
        expect(executor.submit(pack) is None, "submit returns something")
    return _collect(executor, packs)


def _collect(executor: Executor, packs: Sequence[Pack]) -> dict[str, PackReport]:
    found: dict[str, PackReport] = {}
    until = time.monotonic() + PATIENCE_S
    while len(found) < len(packs) and time.monotonic() < until:
        reports = executor.wait(0.5)
        if not reports:
            time.sleep(0.01)  # an executor that has nothing in flight answers at once
        for report in reports:
            expect(isinstance(report, PackReport), f"wait gives a {type(report).__name__}")
            expect(report.pack.id not in found, f"pack {report.pack.id} came back twice")
            expect(report.pack in packs, f"pack {report.pack.id} was never submitted")
            found[report.pack.id] = report
            until = time.monotonic() + PATIENCE_S
    missing = [pack.id for pack in packs if pack.id not in found]
    expect(not missing, f"{len(missing)} of {len(packs)} packs did not come back within {PATIENCE_S:g} s")
    return found


def it_says_how_many_workers(executor: Executor, settings: WorkerSettings) -> None:
    """`workers` is a whole number from 0, `stacks` True or False."""
    expect(isinstance(executor.workers, int) and executor.workers >= 0, f"workers = {executor.workers!r}")
    expect(isinstance(executor.stacks, bool), f"stacks = {executor.stacks!r}")


def nothing_submitted_nothing_comes(executor: Executor, settings: WorkerSettings) -> None:
    """`wait` gives an empty list, in time, when nothing was submitted."""
    started = time.monotonic()
    found = executor.wait(0.1)
    expect(found == [], f"{found!r}")
    expect(time.monotonic() - started < 5.0, f"it took {time.monotonic() - started:.1f} s for a timeout of 0.1 s")


def every_pack_comes_back_once(executor: Executor, settings: WorkerSettings) -> None:
    """Every pack comes back exactly once, with an outcome for each of its trials, in their order, and no failure."""
    packs = _packs([small_trial(0), small_trial(1)], [small_trial(2)], [small_trial(3), small_trial(4, lr=1e6)])
    for pack_id, report in _run(executor, packs).items():
        expect(report.failure is None, f"failure of a sound pack: {report.failure}")
        (pack,) = (pack for pack in packs if pack.id == pack_id)
        asked, came = [trial.id for trial in pack.trials], [outcome.trial_id for outcome in report.outcomes]
        expect(came == asked, f"outcomes {came} for trials {asked}")
        expect(report.wall_s >= 0, f"wall_s {report.wall_s!r}")


def where_it_ran_makes_no_difference(executor: Executor, settings: WorkerSettings) -> None:
    """A trial comes to the numbers that it comes to in this very process."""
    (pack,) = _packs([small_trial(5), small_trial(6)])
    (report,) = _run(executor, [pack]).values()
    for there, here in zip(report.outcomes, run_pack(pack, settings).outcomes, strict=True):
        expect(there.loss == here.loss, f"loss {there.loss!r} there and {here.loss!r} here")


def a_trial_that_raises_is_reported(executor: Executor, settings: WorkerSettings) -> None:
    """A trial that raises is a failure `raised` with the traceback; outcomes before it are kept, nothing is raised."""
    sound = small_trial(0, options={"behaviour": "raise_if_wide"})
    wide = small_trial(1, options={"behaviour": "raise_if_wide"}, base=BaseHPs(init_std=WIDE_INIT))
    (report,) = _run(executor, _packs([sound, wide])).values()
    expect(report.failure is not None and report.failure.kind == "raised", f"failure {report.failure}")
    assert report.failure is not None
    expect("this model does not train" in report.failure.text, f"a failure that says {report.failure.text[-200:]!r}")
    expect([trial.id for trial in report.unfinished][-1] == wide.id, "an outcome for the trial that raised")


def too_little_memory_is_reported(executor: Executor, settings: WorkerSettings) -> None:
    """A pack that does not fit is a failure `memory`, so that the runner can halve it."""
    (report,) = _run(executor, _packs([small_trial(0, options={"behaviour": "allocate"})])).values()
    expect(report.failure is not None and report.failure.kind == "memory", f"failure {report.failure}")


def a_dead_worker_is_reported(executor: Executor, settings: WorkerSettings) -> None:
    """Where workers are processes of their own, a pack whose worker died is a failure `lost`; the next pack runs."""
    (report,) = _run(executor, _packs([small_trial(7)])).values()
    if report.pid == os.getpid():
        return
    (report,) = _run(executor, _packs([small_trial(0, options={"behaviour": "die"})])).values()
    expect(report.failure is not None and report.failure.kind == "lost", f"failure {report.failure}")
    (report,) = _run(executor, _packs([small_trial(8)])).values()
    expect(report.failure is None, f"afterwards a sound pack failed: {report.failure}")


def draining_loses_no_pack(executor: Executor, settings: WorkerSettings) -> None:
    """After `drain` every pack still comes back, finished or with the failure `dropped`."""
    packs = _packs(*([small_trial(seed, options={"seconds": 0.01})] for seed in range(4)))
    for pack in packs:
        executor.submit(pack)
    executor.drain()
    for report in _collect(executor, packs).values():
        kind = report.failure.kind if report.failure is not None else ""
        expect(kind in ("", "dropped"), f"failure {report.failure}")
        expect(kind == "dropped" or not report.unfinished, "trials without an outcome and without a failure")


RULES = (
    it_says_how_many_workers,
    nothing_submitted_nothing_comes,
    every_pack_comes_back_once,
    where_it_ran_makes_no_difference,
    a_trial_that_raises_is_reported,
    too_little_memory_is_reported,
    a_dead_worker_is_reported,
    draining_loses_no_pack,
)


def closing_twice_is_allowed(executor: Executor) -> None:
    """`close` may be called twice."""
    executor.close()
