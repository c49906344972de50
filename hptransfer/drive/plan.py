"""A plan: what a study would run, what of it is stored, and what it costs. Trains nothing but a short timing, starts
no Ray.

A search decides its trials as it goes, so a phase that searches is planned by its expected number of trials, each
standing for one of a known shape; the fixed grid is planned trial by trial.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import click

from hptransfer.common.errors import OutOfMemoryError
from hptransfer.common.seams import versions_in
from hptransfer.drive.own_model import init_warnings, refuse_unfit_model
from hptransfer.drive.request import Request
from hptransfer.drive.settle import existing_store, settled_by
from hptransfer.execute.packing import packs_of
from hptransfer.store.file_names import FAILED_FOLDER
from hptransfer.study.study import Study
from hptransfer.study.trial import Phase, Trial
from hptransfer.training.calibrate import seconds_per_step
from hptransfer.training.flops import TrialCost
from hptransfer.training.memory import micro_batches_for, room_for_a_trial
from hptransfer.training.process import device_of, workers_here
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.trainer import cost_by_trainer
from hptransfer.trials.bracket.search import BracketSearch
from hptransfer.trials.checks import study_warnings
from hptransfer.trials.direct import direct_places
from hptransfer.trials.grid import trials_of
from hptransfer.trials.proxy.proxy import Proxy, refuse_vain_search
from hptransfer.trials.proxy.telescope import telescope_plan
from hptransfer.trials.settled import Settled

__all__ = ["CellPlan", "Load", "PhasePlan", "Plan", "Work", "make_plan", "plan_of", "planned_work"]

MOST_TIMED_S = 5.0
"""Seconds per step that is still timed; a timing takes a few of them."""

Costs = Mapping[str, TrialCost]
Seconds = Callable[[Trial], float]


@dataclass(frozen=True)
class Work:
    """Trials of one phase: each of them once, or `expected` trials in all, of which `trials` are examples by shape."""

    phase: Phase
    trials: tuple[Trial, ...]
    expected: float | None = None
    together: int | None = None
    """Trials that a search asks for at a time: a pack does not reach across its batches."""
    instead_of: int = 0
    """Trials of the fixed grid that a bracket search stands in for."""


@dataclass(frozen=True)
class Load:
    """What a share of the plan weighs. FLOPs count all planned trials; `est_seconds` only what is left to run."""

    planned: int
    stored: int
    params: int
    """Parameters of the largest model."""
    params_nonzero: int
    flops_dense: float
    flops_nonzero: float
    memory_bytes: int
    """Most that one trial needs with its sparse layers held dense."""
    memory_sparse_bytes: int
    """The same with them held as their non-zeros, as `--products` decides."""
    micro_batches: int
    """Most parts that a batch is cut into so that a trial fits."""
    est_seconds: float | None
    """Wall time of training on all workers, without start-up and compiling; None where nothing was timed."""


@dataclass(frozen=True)
class PhasePlan(Load):
    """One phase. `packs` are those left to run."""

    phase: str
    packs: int


@dataclass(frozen=True)
class CellPlan(Load):
    """One (width, density, depth) of a phase."""

    phase: str
    width: int
    density: float
    depth: int


@dataclass(frozen=True)
class Plan(Load):
    """The whole plan. Of the stored trials `diverged` diverged; `failed` have a log under failed/ and no row."""

    study: str
    diverged: int
    failed: int
    packs: int
    workers: int
    fixed_grid: int
    """Trials the fixed grid would take where a bracket search is planned in its stead; else 0."""
    phases: tuple[PhasePlan, ...]
    cells: tuple[CellPlan, ...]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `--json`; times in seconds, memory in bytes."""
        return asdict(self)


def plan_of(request: Request, *, calibrate: bool) -> Plan:
    """The plan of a study against what its results folder holds. `calibrate`: time a few steps here."""
    store = existing_store(request)
    settled, base, _ = settled_by(request, store)
    refuse_unfit_model(settled)
    searched = request.base is None and settled.study.tune is not None
    works = planned_work(settled, tuned=searched or base.tuned, searched=searched)
    rows = store.read()[["trial_id", "phase", "status", "entries", *_KIND]].to_dict("records") if store else []
    return make_plan(
        settled.study,
        works,
        rows,
        failed=len(store.names(FAILED_FOLDER)) if store else 0,
        workers=request.workers or workers_here(request.settings),
        seconds_per_step=partial(_timed, settings=request.settings) if calibrate else None,
        room=room_for_a_trial(request.settings, device_of(request.settings)),
        warnings=[*study_warnings(settled.study), *init_warnings(settled)],
    )


def _timed(trial: Trial, settings: WorkerSettings) -> float:
    """Seconds per step, measured here. Compiling a model for it takes a while, so it is said what is waited for."""
    click.echo(f"hptransfer: timing steps at width {trial.width} (--no-calibrate leaves it out)", err=True)
    return seconds_per_step(trial, settings=settings)


def planned_work(settled: Settled, *, tuned: bool, searched: bool = True) -> list[Work]:
    """Every phase that `run` goes through. `tuned`: the base HPs come from a search, done or to be done;
    without `searched` it is left out, as with `--base`."""
    study = settled.study
    works = _search_work(settled) if study.tune is not None and searched else []
    grid = tuple(trials_of(settled))
    if study.grid.search == "fixed":
        return [*works, Work("grid", grid), *_direct_work(settled)]
    search = BracketSearch(settled, tuned=tuned)
    shapes = {trial.shape_key: trial for trial in grid}
    stand_in = Work("grid", tuple(shapes.values()), search.expected, instead_of=len(grid))
    return [*works, stand_in, *_direct_work(settled)]


def _direct_work(settled: Settled) -> list[Work]:
    """A search and a comparison in every cell, where the study asks for them. The transferred trials are known by id,
    for the grid may have run them."""
    works = []
    for place in direct_places(settled):
        proxy, here = place.proxy, place.transferred()
        line = len(place.line(place.series))
        works += [
            Work("direct", (proxy.trial({}, seed=0),), proxy.planned, proxy.tune.batch),
            Work("direct", (here[0],), line),
            Work("direct", tuple(here)),
        ]
    return works


def _search_work(settled: Settled) -> list[Work]:
    refuse_vain_search(settled.study)
    proxy = Proxy(settled)
    tune = proxy.tune
    if tune.strategy == "optuna":
        alike = (proxy.trial({}, seed=0),)
        return [Work("tune", alike, tune.trials, tune.batch), Work("tune", alike, proxy.planned - tune.trials)]
    works = [
        Work("tune", (proxy.trial({}, seed=0, width=width),), points ** len(tune.space))
        for width, points in telescope_plan(proxy)
    ]
    return [*works, Work("tune", works[-1].trials, proxy.planned - tune.trials)]


def make_plan(
    study: Study,
    works: Sequence[Work],
    rows: Iterable[Mapping[Any, Any]] = (),
    *,
    failed: int = 0,
    workers: int = 1,
    seconds_per_step: Seconds | None = None,
    room: int | None = None,
    warnings: Sequence[str] = (),
) -> Plan:
    """Weigh `works` against the stored `rows` of the store.

    `room` is what a trial may take of a worker's memory in bytes; None: without limit.

    `seconds_per_step` times a shape; it is asked for the cheapest and the dearest that is left, never more, and not
    for one that would take too long or does not fit into memory.
    """
    rows = list(rows)
    lots = _lots(works, rows)
    shapes = {lot.trial.shape_key: lot.trial for lot in lots}
    costs = {key: cost_by_trainer(trial) for key, trial in shapes.items()}
    timing = None
    try:
        ours = all(trial.trainer == "packs" for trial in shapes.values())  # nobody can time the others
        timing = _timing(lots, costs, seconds_per_step) if seconds_per_step and ours else None
    except OutOfMemoryError as error:  # not even the smallest fits here; the plan still says what it takes
        warnings = [*warnings, f"no time was estimated: {error}"]

    def load(chosen: Sequence[_Lot]) -> Load:
        return _load(chosen, costs, timing, workers, room)

    phases = []
    for phase in dict.fromkeys(lot.phase for lot in lots):
        own = [lot for lot in lots if lot.phase == phase]
        packs = sum(_packs(work, [lot for lot in own if lot.work is work], workers) for work in works)
        phases.append(PhasePlan(**vars(load(own)), phase=phase, packs=packs))
    cells = []
    for place in dict.fromkeys(lot.place for lot in lots):
        phase, width, density, depth = place
        own = [lot for lot in lots if lot.place == place]
        cells.append(CellPlan(**vars(load(own)), phase=phase, width=width, density=density, depth=depth))
    return Plan(
        **vars(load(lots)),
        study=study.name,
        diverged=sum(row["status"] == "diverged" for row in rows),
        failed=failed,
        packs=sum(phase.packs for phase in phases),
        workers=workers,
        fixed_grid=sum(work.instead_of for work in works),
        phases=tuple(phases),
        cells=tuple(cells),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, eq=False)
class _Lot:
    """`planned` trials like `trial`, of which `left` are still to run."""

    work: Work
    trial: Trial
    planned: float
    left: float

    @property
    def phase(self) -> Phase:
        return self.work.phase

    @property
    def place(self) -> tuple[Phase, int, float, int]:
        return (self.phase, self.trial.width, self.trial.density, self.trial.depth)


_KIND = {
    **{name: name for name in ("task", "trainer", "data_id", "width", "depth", "density")},
    "model": "model.factory",
    "sparsity_kind": "sparsity.kind",
    "sparsity_method": "sparsity.method",
    **{n: f"training.{n}" for n in ("optimizer", "steps", "batch_size", "sequence_length", "schedule", "precision")},
}
"""What a search does not vary: columns of a row, and where a trial has the same."""


def _kind(trial: Trial) -> tuple[Any, ...]:
    """What a row of the trial says in the columns of `_KIND`, and its versions."""
    return (*attrgetter(*_KIND.values())(trial), *sorted(trial.versions.items()))


def _lots(works: Sequence[Work], rows: Sequence[Mapping[Any, Any]]) -> list[_Lot]:
    """Stored trials of the fixed grid are known by id; those of a search by their phase and kind, and they fill its
    parts in turn: one that is asked anew, of another model or version, finds none of the old ones. A probe, a
    fraction of a trial, counts as none."""
    stored = {str(row["trial_id"]) for row in rows}
    named = {trial.id for work in works if work.expected is None for trial in work.trials}
    found = Counter(
        (row["phase"], *(row[name] for name in _KIND), *sorted(versions_in(row["entries"]).items()))
        for row in rows
        if row["trial_id"] not in named
    )
    lots = []
    for work in works:
        if work.expected is None:
            lots += [_Lot(work, trial, 1, 0 if trial.id in stored else 1) for trial in work.trials]
            continue
        have, share = 0.0, 1 / len(work.trials)
        for kind in {(work.phase, *_kind(trial)) for trial in work.trials}:
            taken = min(found[kind], round(work.expected - have))
            found[kind] -= taken
            have = min(have + taken, work.expected)
        lots += [_Lot(work, t, work.expected * share, (work.expected - have) * share) for t in work.trials]
    return lots


def _load(lots: Sequence[_Lot], costs: Costs, timing: Seconds | None, workers: int, room: int | None) -> Load:
    weighed = [(lot, costs[lot.trial.shape_key]) for lot in lots]
    parts = {
        key: 1 if room is None else micro_batches_for(costs[key], trial.training.batch_size, room)
        for key, trial in {lot.trial.shape_key: lot.trial for lot in lots}.items()
    }
    planned = round(sum(lot.planned for lot in lots))
    return Load(
        planned=planned,
        stored=planned - round(sum(lot.left for lot in lots)),
        params=max((cost.params for _, cost in weighed), default=0),
        params_nonzero=max((cost.params_nonzero for _, cost in weighed), default=0),
        flops_dense=sum(lot.planned * cost.flops_dense for lot, cost in weighed),
        flops_nonzero=sum(lot.planned * cost.flops_nonzero for lot, cost in weighed),
        memory_bytes=max((costs[key].memory_bytes(n) for key, n in parts.items()), default=0),
        memory_sparse_bytes=max((costs[key].memory_bytes(n, sparse=True) for key, n in parts.items()), default=0),
        micro_batches=max(parts.values(), default=1),
        est_seconds=None if timing is None else sum(lot.left * timing(lot.trial) for lot in lots if lot.left) / workers,
    )


def _packs(work: Work, lots: Sequence[_Lot], workers: int) -> int:
    """Packs still to run; those of a search are counted on trials like its examples."""
    if work.expected is None:
        return len(packs_of([lot.trial for lot in lots if lot.left], work.phase, workers=workers))
    total = 0
    for lot in lots:
        left = round(lot.left)
        batch = work.together or left
        for first in range(0, left, max(1, batch)):
            asked = [lot.trial.model_copy(update={"seed": seed}) for seed in range(first, min(first + batch, left))]
            total += len(packs_of(asked, work.phase, workers=workers))
    return total


def _timing(lots: Sequence[_Lot], costs: Costs, seconds_per_step: Seconds) -> Seconds:
    """Seconds of a whole trial, on the line through the cheapest and the dearest step that is left to run.

    A small step is mostly overhead and a large one mostly arithmetic, so one timing alone misleads. Counted by dense
    FLOPs: where sparse layers are multiplied as such the estimate errs on the long side. A step that can be expected
    to take more than `MOST_TIMED_S` is not timed but reckoned from a cheaper one.
    """

    def flops_per_step(trial: Trial) -> float:
        return costs[trial.shape_key].flops_dense / trial.training.steps

    waiting = sorted((lot.trial for lot in lots if lot.left), key=flops_per_step)
    if not waiting:
        return lambda trial: 0.0
    low, fast = flops_per_step(waiting[0]), seconds_per_step(waiting[0])
    slope = fast / low
    dear = [trial for trial in waiting if flops_per_step(trial) > low and slope * flops_per_step(trial) <= MOST_TIMED_S]
    if dear:
        with suppress(OutOfMemoryError):
            slope = max(0.0, (seconds_per_step(dear[-1]) - fast) / (flops_per_step(dear[-1]) - low))

    def seconds(trial: Trial) -> float:
        return trial.training.steps * (fast + slope * (flops_per_step(trial) - low))

    return seconds
