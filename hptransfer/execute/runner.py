"""From planned trials to stored rows: what is stored is not run, what fails is retried or recorded.

Every change of state happens here, in `_take`: a pack that ran out of memory or raised is halved until the trial at
fault stands alone; a pack whose worker died goes again; a trial that fails on its own is recorded with its log and
the others go on. Trial ids never change on the way.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Self, get_args

import pyarrow as pa

from hptransfer.common.errors import BreachError, InputError, WorkError
from hptransfer.common.seams import EXECUTORS
from hptransfer.execute.base import Executor, FailureKind, PackFailure, PackReport
from hptransfer.execute.observer import Counts, Observer, Observers
from hptransfer.execute.pack import Pack
from hptransfer.execute.packing import packs_of
from hptransfer.execute.pruning import Pruning
from hptransfer.execute.tally import Tally
from hptransfer.store.columns import curves_of, row_of
from hptransfer.store.file_names import FAILED_FOLDER, RUNNING_FILE
from hptransfer.store.store import Store
from hptransfer.study.trial import Outcome, Phase, Trial

__all__ = ["Interrupted", "Row", "Runner"]

Row = dict[str, Any]
PackTrials = Callable[[Sequence[Trial], Phase], Sequence[Pack]]

_WAIT_S = 0.5
_RUNNING_EVERY_S = 2.0
_DRAIN_MESSAGE = b"\nstopping: what is running is finished and stored; Ctrl-C again leaves at once\n"


class Interrupted(KeyboardInterrupt):
    """The first Ctrl-C came and everything in flight has been stored."""


@dataclass(frozen=True, slots=True)
class _Job:
    pack: Pack
    losses: int = 0
    """How often a worker died under it."""


class Runner:
    """Runs trials on an executor and stores them. The store's lock must be held while trials are submitted.

    `make_executor` is called when the first trial really has to run, so a finished study starts nothing.
    A trial that could not be run has no row; it is in `failed`, with its log in `failed/<id>.log` of the store.
    `pack_trials` groups trials into packs; by default `packs_of` for the executor's workers.
    """

    def __init__(
        self,
        store: Store,
        make_executor: Callable[[], Executor],
        observers: Sequence[Observer],
        study_name: str,
        *,
        pack_trials: PackTrials | None = None,
        failures_in_a_row: int = 10,
        lost_retries: int = 3,
    ) -> None:
        self.store, self._make_executor, self._study = store, make_executor, study_name
        self.observers = Observers(observers)
        """Told here of counts, rows and failures; whoever knows the study tells them when it starts and is finished."""
        self._pack_trials, self._most_failures, self._most_losses = pack_trials, failures_in_a_row, lost_retries
        self.failed: dict[str, str] = {}
        """Trials that could not be run, by id, and the last line of why."""
        self._executor: Executor | None = None
        self._waiting: list[tuple[float, int, _Job]] = []
        self._unpacked: list[tuple[list[Trial], Phase, Pruning | None]] = []
        self._flying: dict[str, _Job] = {}
        self._ready: deque[Iterator[Row]] = deque()
        self._order = 0
        self._pending: set[str] = set()
        self._stored: dict[str, int] = {}
        self._table: pa.Table | None = None
        self._fresh: set[str] = set()
        self._old_logs: set[str] = set()
        self._streak = 0
        self._draining = False
        self._tally = Tally()
        self._noted = -_RUNNING_EVERY_S

    @property
    def counts(self) -> Counts:
        """Where the sweep stands."""
        in_flight = sum(len(job.pack.trials) for job in self._flying.values())
        workers = self._executor.workers if self._executor is not None else 0
        return self._tally.counts(failed=len(self.failed), in_flight=in_flight, workers=workers)

    def expect(self, planned: int) -> None:
        """Announce how many trials there will be in all, where they are submitted bit by bit."""
        self._tally.expected = planned

    def submit(self, trials: Iterable[Trial], phase: Phase, pruning: Pruning | None = None) -> None:
        """Plan trials. Each submitted id comes back once from `results`; those already stored come at once."""
        asked = {trial.id: trial for trial in trials if trial.id not in self._pending and trial.id not in self.failed}
        if asked and (self._table is None or not self._fresh.isdisjoint(asked)):
            self._load()
        stored = [trial_id for trial_id in asked if trial_id in self._stored]
        new = [trial for trial in asked.values() if trial.id not in self._stored]
        if stored:
            self._refuse_renamed(asked[trial_id] for trial_id in stored)
            self._ready.append(self._stored_rows(stored))
        self._tally.plan(asked, phase)
        if new:
            self._unpacked.append((new, phase, pruning))
        self._pending.update(trial.id for trial in new)

    def results(self) -> Iterator[Row]:
        """Rows as they are stored, until nothing submitted is left; submit more inside the loop if you like.

        Raises `Interrupted` after a first Ctrl-C, once everything in flight is stored, and WorkError when too many
        trials fail in a row or a row cannot be stored.
        """
        try:
            with self._interruptible():
                while True:
                    while self._ready:
                        yield from self._ready.popleft()
                    if self._draining and not self._flying:
                        raise Interrupted
                    if not self._unpacked and not self._waiting and not self._flying:
                        return
                    self._launch()
                    self._note()
                    self._take_all(self._started().wait(_WAIT_S))
        finally:
            self._note(last=True)

    def run(self, trials: Iterable[Trial], phase: Phase, pruning: Pruning | None = None) -> dict[str, Row]:
        """Submit, wait for all, and return the rows by id. A trial that failed has no row."""
        wanted = list(trials)
        self.submit(wanted, phase, pruning)
        ids = {trial.id for trial in wanted}
        return {row["trial_id"]: row for row in self.results() if row["trial_id"] in ids}

    def close(self) -> None:
        """Stop the executor, if one was started."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # What is stored already

    def _load(self) -> None:
        self._table = self.store.table()
        self._stored = {trial_id: i for i, trial_id in enumerate(self._table.column("trial_id").to_pylist())}
        self._fresh.clear()
        self._old_logs = set(self.store.names(FAILED_FOLDER))

    def _refuse_renamed(self, trials: Iterable[Trial]) -> None:
        """A row keeps the variant's name it was stored under; under another it would never be found again."""
        assert self._table is not None
        for trial in trials:
            name = self._table.column("variant")[self._stored[trial.id]].as_py() or ""
            if name != trial.variant:
                raise InputError(
                    "these trials are stored under another variant's name",
                    where=f"grid.variants, results in {self.store.uri}",
                    found=f"'{trial.variant}'",
                    allowed=f"'{name}'" if name else "no variant: they were run before the study had any",
                    hint="keep the name, or give the study a results folder of its own with --results",
                )

    def _stored_rows(self, ids: Sequence[str]) -> Iterator[Row]:
        assert self._table is not None
        table = self._table.take([self._stored[trial_id] for trial_id in ids])
        for row in table.select(["trial_id", "status", "loss"]).to_pylist():
            self._tally.done_row(row)
        return (row for batch in table.to_batches(max_chunksize=256) for row in batch.to_pylist())

    # To the executor and back

    def _queue(self, job: _Job, *, again: bool = False) -> None:
        """Largest first. What comes back from a failure goes next, so that failures show where they happen."""
        self._order += 1
        heapq.heappush(self._waiting, (-math.inf if again else -job.pack.cost, self._order, job))
        self._tally.queued(job.pack)

    def _pack(self, executor: Executor, workers: int) -> None:
        """Into packs only now: how large they may be depends on how many workers there are."""
        unpacked, self._unpacked = self._unpacked, []
        for trials, phase, pruning in unpacked:
            if self._pack_trials is not None:
                packs = self._pack_trials(trials, phase)
            else:
                packs = packs_of(trials, phase, workers=workers, stacked=executor.stacks)
            for pack in packs:
                self._queue(_Job(replace(pack, pruning=pruning)))

    def _started(self) -> Executor:
        if self._executor is None:
            self._executor = self._make_executor()
            self._tally.start()
        return self._executor

    def _launch(self) -> None:
        """Keep every worker busy; packs that take moments queue up behind the workers, long ones do not."""
        executor = self._started()
        workers = max(1, executor.workers)  # a cluster that can grow grows for a task that waits
        self._pack(executor, workers)
        depth = 2 * workers + 2 if 0 < self._tally.pack_wall_s < 1 else workers
        while self._waiting and len(self._flying) < depth and not self._draining:
            job = heapq.heappop(self._waiting)[2]
            self._flying[job.pack.id] = job
            executor.submit(job.pack)

    def _take_all(self, reports: Sequence[PackReport]) -> None:
        """Store what finished, packs that came back together as one part, before anything else is decided."""
        rows: list[Row] = []
        outcomes: list[Outcome] = []
        reports, broken = self._sound(reports)
        for report in reports:
            trials = {trial.id: trial for trial in report.pack.trials}
            rows += [row_of(self._study, report.pack.phase, trials[o.trial_id], o) for o in report.outcomes]
            outcomes += report.outcomes
        if rows:
            self.store.append(rows, [point for outcome in outcomes for point in curves_of(outcome)])
        for row, outcome in zip(rows, outcomes, strict=True):
            self._finish(row)
            self.observers.stored(row, outcome.curve)
        for report in reports:
            self._take(report)
        self._ready.append(iter(rows))
        if broken is not None:
            raise broken

    def _sound(self, reports: Any) -> tuple[list[PackReport], BreachError | None]:
        """The reports as far as they keep an executor's contract, and the refusal of the first that does not: what
        came before it is stored."""
        sound: list[PackReport] = []
        out = dict(self._flying)

        def breach(rule: str, found: object) -> tuple[list[PackReport], BreachError]:
            kind = type(self._executor)
            return sound, EXECUTORS.breach(
                f"{kind.__module__}:{kind.__qualname__}", kind, rule, f"; found {found!r:.80}"
            )

        if not isinstance(reports, list | tuple):
            return breach("`wait` gives a list of reports", reports)
        for report in reports:
            if not isinstance(report, PackReport):
                return breach("`wait` gives a list of reports", report)
            job = out.pop(report.pack.id, None)
            if job is None:
                return breach("every pack comes back exactly once", f"pack {report.pack.id}, which is not out")
            asked, came = {trial.id for trial in job.pack.trials}, [outcome.trial_id for outcome in report.outcomes]
            if not asked.issuperset(came) or len(set(came)) < len(came):
                return breach("a report has an outcome for each trial of its pack at most, and no other", came)
            if report.failure is not None and report.failure.kind not in get_args(FailureKind):
                return breach(f"a failure is one of {', '.join(get_args(FailureKind))}", report.failure.kind)
            sound.append(report)
        return sound, None

    def _finish(self, row: Row) -> None:
        trial_id = row["trial_id"]
        self._pending.discard(trial_id)
        self._fresh.add(trial_id)
        self._tally.done_row(row)
        if (name := f"{FAILED_FOLDER}/{trial_id}.log") in self._old_logs:
            self._old_logs.discard(name)
            self.store.remove(name)

    def _take(self, report: PackReport) -> None:
        """Decide what becomes of the trials of a pack that did not finish."""
        job = self._flying.pop(report.pack.id)
        self._tally.landed(report)
        if report.outcomes:
            self._streak = 0
        left = report.unfinished
        if not left:
            return
        failure = report.failure or PackFailure("raised", "the training program returned no outcome for the trial")
        if failure.kind == "breach":
            raise BreachError(failure.text)
        if failure.kind == "dropped":
            self._pending.difference_update(trial.id for trial in left)
            return
        rest = job.pack.part(left)
        losses = job.losses + (failure.kind == "lost")
        if len(left) > 1 and (failure.kind != "lost" or losses > 1):
            # A worker that dies twice under one pack may well have been killed for its memory.
            for half in rest.halves():
                self._queue(_Job(half, losses), again=True)
        elif failure.kind == "lost" and losses <= self._most_losses:
            self._queue(_Job(rest, losses), again=True)
        else:
            self._fail(left[0], failure, losses)

    def _fail(self, trial: Trial, failure: PackFailure, losses: int) -> None:
        says = {"memory": "out of memory", "lost": f"its worker died {losses} times", "raised": "raised"}[failure.kind]
        reason = (failure.text.strip().splitlines() or [""])[-1]
        self.failed[trial.id] = f"{says}: {reason}" if reason else says
        self._pending.discard(trial.id)
        name = f"{FAILED_FOLDER}/{trial.id}.log"
        described = json.dumps(trial.canonical(), sort_keys=True)
        self.store.write_text(name, f"{says}\n\n{failure.text.rstrip()}\n\ntrial: {described}\n")
        self.observers.message(f"trial {trial.id} failed: {self.failed[trial.id]} ({self.store.path_of(name)})")
        self._streak += 1
        if self._streak >= self._most_failures:
            raise WorkError(
                f"stopped: {self._streak} trials in a row failed, the last because it {self.failed[trial.id]}; "
                f"see {self.store.path_of(FAILED_FOLDER)}"
            )

    # Progress and Ctrl-C

    def _note(self, last: bool = False) -> None:
        counts = self.counts
        if last or self._executor is not None:
            self.observers.counted(counts)
        now = time.monotonic()
        if not last and now - self._noted < _RUNNING_EVERY_S:
            return
        self._noted = now
        document = asdict(counts) | {"updated": datetime.now(UTC).isoformat(), "pid": os.getpid()}
        # At the end the sweep's own error, if there is one, must not be hidden by this mere convenience failing.
        with suppress(WorkError) if last else nullcontext():
            self.store.write_json(RUNNING_FILE, document)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """First Ctrl-C: drain. Second: leave at once. Outside the main thread signals are left alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_interrupt(number: int, frame: FrameType | None) -> None:
            if self._draining:
                raise KeyboardInterrupt
            self._draining = True
            if self._executor is not None:
                self._executor.drain()
            os.write(2, _DRAIN_MESSAGE)  # a plain write: a signal may come in the middle of a buffered one

        before = signal.signal(signal.SIGINT, on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
