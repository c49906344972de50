"""`search: bracket`: find each cell's optimum with as few trials as its interval needs.

With common random numbers the losses of one seed differ by the LR alone, so a parabola through few LRs is enough.
The cells of a series form a tree rooted at the one nearest the base cell; a cell starts from its parent's optimum,
carried on by the drift seen between the parent and its own parent. Only a root without a tuned guess pays for a
probe: a few LRs at a short budget, corrected for the horizon.

Where a cell starts says nothing about where it ends: the verdict sees the rows alone, and `tests/test_bracket.py`
holds it to the calibration that it must show on full grids.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from hptransfer.analysis.optimum import CellPoints, Noise, Optimum, own_noise
from hptransfer.analysis.quadratic import local_quadratic
from hptransfer.common.errors import InputError
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import Precision
from hptransfer.study.study import Cell, Study
from hptransfer.study.trial import Phase, Trial
from hptransfer.trials.bracket.moves import LATTICE, SET, Ask, Bounds, Point, first_asks, next_move, snap
from hptransfer.trials.grid import Series, lr_axis, make_trial, series_of

__all__ = ["HORIZON_SHIFT", "CellReport", "Searched", "TrialRunner", "bracket_study", "expected_trials"]

HORIZON_SHIFT = 0.25
"""Octaves by which the best LR falls for each doubling of the steps. Only ever a starting point."""

REACH = 10.0
"""Octaves either side of the base that a search may visit where the study names no axis."""

Row = Mapping[str, Any]


class TrialRunner(Protocol):
    """The part of `execute.runner.Runner` that the search needs."""

    def submit(self, trials: Sequence[Trial], phase: Phase) -> None: ...

    def results(self) -> Iterator[Row]: ...


@dataclass(frozen=True, slots=True)
class CellReport:
    """Where a cell's trials went and why it stopped."""

    series: str
    width: int
    density: float
    depth: int
    trials: int
    probes: int
    optimum_log2: float
    half_width: float
    fell_back: bool
    why: str


@dataclass(frozen=True, slots=True)
class Searched:
    """A search that came to its end: a report a cell, and every trial it asked for."""

    cells: tuple[CellReport, ...]
    trial_ids: tuple[str, ...]


@dataclass
class _State:
    """A cell under search."""

    series: Series
    cell: Cell
    parent: _State | None
    bounds: Bounds
    axis: tuple[float, ...]
    swept: Literal["lr", "init_std"]
    guess: float = math.nan
    points: list[Point] = field(default_factory=list)
    probes: list[Point] = field(default_factory=list)
    waiting: dict[str, tuple[Ask, Phase]] = field(default_factory=dict)
    optimum: Optimum | None = None
    why: str = ""
    fell_back: bool = False

    @property
    def started(self) -> bool:
        return not math.isnan(self.guess)

    @property
    def located(self) -> bool:
        return bool(self.why) or (self.optimum is not None and math.isfinite(self.optimum.log2))

    def report(self) -> CellReport:
        found = self.optimum
        return CellReport(
            self.series.name,
            self.cell.width,
            self.cell.density,
            self.cell.depth or self.series.study.base.depth,
            len(self.points),
            len(self.probes),
            found.log2 if found else math.nan,
            found.half_width if found else math.nan,
            self.fell_back,
            self.why,
        )


class _Search:
    """All cells of a study at once: what comes back from one decides what is asked next, so no worker waits."""

    def __init__(
        self, study: Study, base: BaseHPs, runner: TrialRunner, precision: Precision, data_id: str, tuned: bool
    ) -> None:
        self.settings, self.seeds, self.runner = study.grid.bracket, study.grid.seeds, runner
        self.precision, self.data_id, self.tuned = precision, data_id, tuned
        self.states = _states(study, base)
        self.by_id: dict[str, list[_State]] = {}

    def run(self) -> Searched:
        for state in self.states:
            if state.parent is None:
                self._start(state)
        for row in self.runner.results():
            for state in self.by_id.get(str(row["trial_id"]), ()):
                self._arrived(state, row)
        for state in self.states:
            if not state.why:
                state.why = "a trial it waits for failed" if state.waiting else "the cell it starts from has no optimum"
        return Searched(tuple(state.report() for state in self.states), tuple(sorted(self.by_id)))

    def _start(self, state: _State) -> None:
        state.guess = _guess(state)
        if state.parent is None and not self.tuned:
            span = self.settings.probe_step
            self._ask(state, [Ask(snap(state.guess) + k * span, self.seeds[0]) for k in (-2, -1, 0, 1, 2)], "probe")
        else:
            self._ask(state, first_asks(state.guess, self.seeds, self.settings, state.bounds), "grid")

    def _ask(self, state: _State, asks: Sequence[Ask], phase: Phase) -> None:
        trials = []
        for ask in asks:
            trial = self._trial(state, ask, phase)
            if trial.id not in state.waiting:
                state.waiting[trial.id] = (ask, phase)
                self.by_id.setdefault(trial.id, []).append(state)
                trials.append(trial)
        self.runner.submit(trials, phase)

    def _trial(self, state: _State, ask: Ask, phase: Phase) -> Trial:
        study = state.series.study
        short = max(1, round(study.training.steps * self.settings.probe_fraction))
        return make_trial(
            study,
            base=state.series.base.model_copy(update={state.swept: 2.0**ask.x}),
            width=state.cell.width,
            density=state.cell.density,
            depth=state.cell.depth or study.base.depth,
            rule=state.series.rule,
            seed=ask.seed,
            precision=self.precision,
            data_id=self.data_id,
            variant=state.series.variant,
            steps=short if phase == "probe" else None,
        )

    def _arrived(self, state: _State, row: Row) -> None:
        asked = state.waiting.pop(str(row["trial_id"]), None)
        if asked is None:
            return
        ask, phase = asked
        loss = float(row["loss"]) if row["status"] == "ok" else math.inf
        (state.probes if phase == "probe" else state.points).append(Point(ask.x, ask.seed, loss))
        if state.waiting or state.why:
            return
        if phase == "probe":
            self._after_probe(state)
        else:
            self._advance(state)

    def _after_probe(self, state: _State) -> None:
        """Walk downhill until the probe has its minimum inside, then move to the full budget."""
        ordered = sorted(state.probes, key=lambda p: p.x)
        best = min(ordered, key=lambda p: p.loss)
        span = self.settings.probe_step
        further = [best.x + k * span * (1 if best is ordered[-1] else -1) for k in (1, 2)]
        inside = [x for x in further if x in state.bounds]
        if best in (ordered[0], ordered[-1]) and inside and len(ordered) < self.settings.max_trials:
            self._ask(state, [Ask(x, best.seed) for x in inside], "probe")
            return
        state.guess = _lowest(ordered, best) + HORIZON_SHIFT * math.log2(self.settings.probe_fraction)
        self._ask(state, first_asks(state.guess, self.seeds, self.settings, state.bounds), "grid")

    def _advance(self, state: _State) -> None:
        move = next_move(state.points, state.guess, self.seeds, self.settings, state.bounds, self._noise())
        state.optimum = move.optimum or state.optimum
        if move.fall_back and not state.fell_back:
            state.fell_back = True
            known = {(p.x, p.seed) for p in state.points}
            asks = [Ask(x, seed) for x in state.axis for seed in self.seeds if (x, seed) not in known]
            if asks:
                self._ask(state, asks, "grid")
                state.optimum = None
                return
        if move.asks and not state.fell_back:
            self._ask(state, move.asks, "grid")
        else:
            state.why = move.why or "the fixed axis has run"
        if state.located:
            for child in self.states:
                if child.parent is state and not child.started:
                    self._start(child)

    def _noise(self) -> Noise | None:
        """Residual noise pooled over every cell seen so far: two seeds in one cell say too little."""
        found = [
            own_noise(CellPoints.of((2.0**p.x, p.seed, p.loss) for p in s.points)) for s in self.states if s.points
        ]
        known = [noise for noise in found if noise is not None]
        df = sum(noise.df for noise in known)
        return Noise(sum(noise.variance * noise.df for noise in known) / df, df) if df else None


def bracket_study(
    study: Study, base: BaseHPs, runner: TrialRunner, *, precision: Precision, data_id: str, tuned: bool
) -> Searched:
    """Run the grid of `study` by bracket search. `tuned`: whether `base` comes from a search, so no probe is needed."""
    return _Search(study, base, runner, precision, data_id, tuned).run()


def expected_trials(study: Study, base: BaseHPs, *, tuned: bool) -> tuple[float, int]:
    """(Full-budget trials expected of the search, trials of the fixed grid), for `plan`.

    Half-way between the least a cell can take (six runs of two seeds, four for each further seed that it must have)
    and its cap: the flatter the basins and the noisier the runs, the nearer to the cap. A root that was not tuned
    takes a probe besides.
    """
    states, bracket = _states(study, base), study.grid.bracket
    least = 6 + SET * max(0, min(bracket.min_seeds, len(study.grid.seeds)) - 2)
    a_cell = (least + max(least, bracket.max_trials)) / 2
    roots = sum(state.parent is None for state in states)
    probes = 0 if tuned else 5 * roots * study.grid.bracket.probe_fraction
    return a_cell * len(states) + probes, sum(len(state.axis) for state in states) * len(study.grid.seeds)


def _states(study: Study, base: BaseHPs) -> list[_State]:
    """A state a cell, parents before children."""
    states: list[_State] = []
    for series in series_of(study, base):
        axis, swept = _axis(series)
        xs = [math.log2(value) for value in axis]
        middle = math.log2(getattr(series.base, swept))
        bounds = Bounds(min(xs), max(xs)) if len(xs) > 1 else Bounds(middle - REACH, middle + REACH)
        if bounds.high - bounds.low < 4 * LATTICE:
            raise InputError(
                "the axis is too short for a bracket",
                where=f"grid.{swept}",
                found=list(axis),
                allowed="a span of at least one octave",
                hint="widen it, or use search: fixed",
            )
        placed: list[_State] = []
        for cell in sorted(study.grid.shapes(study.base.depth), key=lambda c: _distance(c, study)):
            parent = min(placed, key=lambda s: _apart(s.cell, cell), default=None)
            placed.append(_State(series, cell, parent, bounds, tuple(xs), swept))
        states += placed
    return states


def _axis(series: Series) -> tuple[tuple[float, ...], Literal["lr", "init_std"]]:
    grid = series.study.grid
    lrs = lr_axis(series.study, series.base)
    if len(grid.init_multiples) == 1:
        return lrs, "lr"
    if len(lrs) > 1:
        raise InputError(
            "a bracket search runs along one axis",
            where="grid",
            found=f"{len(lrs)} LRs and {len(grid.init_multiples)} init multiples",
            allowed="several of one and a single one of the other",
            hint="use search: fixed, or fix one axis",
        )
    return tuple(series.base.init_std * m for m in grid.init_multiples), "init_std"


def _distance(cell: Cell, study: Study) -> tuple[float, float, float]:
    """How far a cell lies from the base: the root of a series is the nearest."""
    depth = math.log2((cell.depth or study.base.depth) / study.base.depth)
    width = math.log2(cell.width / study.base.width)
    return (abs(width) - math.log2(cell.density) + abs(depth), abs(width), -cell.density)


def _apart(one: Cell, other: Cell) -> float:
    return abs(math.log2(one.width / other.width)) + abs(math.log2(one.density / other.density))


def _lowest(ordered: Sequence[Point], best: Point) -> float:
    """Where the parabola through the best probe and its neighbours is lowest; the best probe itself at an end."""
    place = ordered.index(best)
    three = ordered[max(place - 1, 0) : place + 2]
    if len(three) < 3 or not all(math.isfinite(point.loss) for point in three):
        return best.x
    fit = local_quadratic(np.array([[p.x] for p in three]), np.array([p.loss for p in three]), np.array([best.x]))
    return best.x if fit is None or fit.vertex is None else float(fit.vertex[0])


def _guess(state: _State) -> float:
    """log2 of where to look first: the parent's optimum, carried on by the drift that led to it."""
    start = math.log2(getattr(state.series.base, state.swept))
    parent = state.parent
    if parent is None or parent.optimum is None or not math.isfinite(parent.optimum.log2):
        return start if parent is None or not parent.started else parent.guess
    before = parent.parent
    if before is None or before.optimum is None or not math.isfinite(before.optimum.log2):
        return parent.optimum.log2
    drift = (parent.optimum.log2 - before.optimum.log2) / max(_apart(before.cell, parent.cell), 1e-9)
    step = drift * _apart(parent.cell, state.cell)
    return parent.optimum.log2 + max(-2.0, min(2.0, step))
