"""`search: bracket`: find each cell's optimum with as few trials as its interval needs.

With common random numbers the losses of one seed differ by the LR alone, so a parabola through few LRs is enough.
The cells of a series form a tree rooted at the one nearest the base cell; a cell starts from its parent's optimum,
carried on by the drift seen between the parent and its own parent. Only a root without a tuned guess pays for a
probe: a few LRs at a short budget, corrected for the horizon.

Where a cell starts says nothing about where it ends: the verdict sees the rows alone, and
`tests/trials/bracket/test_search.py` holds it to the calibration that it must show on full grids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hptransfer.analysis.optimum import CellPoints, Noise, Optimum, own_noise
from hptransfer.analysis.quadratic import local_quadratic
from hptransfer.common.errors import InputError
from hptransfer.common.seams import AXES
from hptransfer.execute.runner import Row, Runner
from hptransfer.study.study import BaseSpec, Cell
from hptransfer.study.trial import Phase, Trial
from hptransfer.trials.bracket.moves import LATTICE, SET, Ask, Bounds, Point, next_move, snap
from hptransfer.trials.settled import Series, Settled

__all__ = ["HORIZON_SHIFT", "BracketResult", "BracketSearch", "CellReport"]

HORIZON_SHIFT = 0.25
"""Octaves by which the best LR falls for each doubling of the steps. Only ever a starting point."""

REACH = 10.0
"""Octaves either side of the base that a search may visit where the study names no axis."""


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
class BracketResult:
    """A search that came to its end: a report per cell, and every trial it asked for."""

    cells: tuple[CellReport, ...]
    trial_ids: tuple[str, ...]


@dataclass
class _State:
    """A cell under search."""

    series: Series
    cell: Cell
    parent: _State | None
    swept: str
    axis: tuple[float, ...]
    """log2 of the values that the fixed grid has."""
    start: float
    """log2 of the base value."""
    bounds: Bounds
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
    def log2(self) -> float:
        """Where its optimum lies; NaN while nobody knows."""
        return self.optimum.log2 if self.optimum else math.nan

    def report(self) -> CellReport:
        half_width = self.optimum.half_width if self.optimum else math.nan
        ran = len(self.points), len(self.probes)
        return CellReport(self.series.name, *self.cell, *ran, self.log2, half_width, self.fell_back, self.why)


class BracketSearch:
    """All cells of a study at once: what comes back from one decides what is asked next, so no worker waits.

    `tuned`: a search chose the study's base HPs, so that a root needs no probe.
    """

    def __init__(self, settled: Settled, *, tuned: bool) -> None:
        grid = settled.study.grid
        self.settings, self.seeds, self.tuned = grid.bracket, grid.seeds, tuned
        self.states = _states(settled)
        self.by_id: dict[str, list[_State]] = {}

    @property
    def expected(self) -> float:
        """Full-budget trials to be expected of the search.

        Half-way between the least a cell can take (six runs of two seeds, four for each further seed that it must
        have) and its cap: the flatter the basins and the noisier the runs, the nearer to the cap. A root that was not
        tuned takes a probe besides.
        """
        least = 6 + SET * max(0, min(self.settings.min_seeds, len(self.seeds)) - 2)
        a_cell = (least + max(least, self.settings.max_trials)) / 2
        roots = sum(state.parent is None for state in self.states)
        probes = 0 if self.tuned else 5 * roots * self.settings.probe_fraction
        return a_cell * len(self.states) + probes

    def run(self, runner: Runner) -> BracketResult:
        """Run the grid by bracket search."""
        self.runner = runner
        for state in self.states:
            if state.parent is None:
                self._start(state)
        for row in self.runner.results():
            for state in self.by_id.get(str(row["trial_id"]), ()):
                self._arrived(state, row)
        for state in self.states:
            if not state.why:
                state.why = "a trial it waits for failed" if state.waiting else "the cell it starts from has no optimum"
        return BracketResult(tuple(state.report() for state in self.states), tuple(sorted(self.by_id)))

    def _start(self, state: _State) -> None:
        state.guess = _guess(state)
        if state.parent is None and not self.tuned:
            span = self.settings.probe_step
            self._ask(state, [Ask(snap(state.guess) + k * span, self.seeds[0]) for k in (-2, -1, 0, 1, 2)], "probe")
        else:
            self._advance(state)

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
        series, steps = state.series, state.series.settled.study.training.steps
        short = max(1, round(steps * self.settings.probe_fraction)) if phase == "probe" else None
        values = {name: values[0] for name, values in series.settled.swept().items()}
        return series.trial(state.cell, ask.seed, values | {state.swept: 2.0**ask.x}, short)

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
        self._advance(state)

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
        if state.why or math.isfinite(state.log2):
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


def _states(settled: Settled) -> list[_State]:
    """A state per cell, parents before children."""
    states: list[_State] = []
    cells = sorted(settled.study.cells, key=lambda cell: _distance(cell, settled.study.base))
    for series in settled.series():
        swept, values = _axis(series.settled)
        xs = tuple(math.log2(value) for value in values)
        base = AXES.get(swept).at_base(series.settled.hps)
        start = math.log2(base) if base > 0 else (min(xs) + max(xs)) / 2
        bounds = Bounds(min(xs), max(xs)) if len(xs) > 1 else Bounds(start - REACH, start + REACH)
        if bounds.high - bounds.low < 4 * LATTICE:
            raise InputError(
                "the axis is too short for a bracket",
                where=f"grid.{swept}" if swept in ("lr", "init_std") else f"grid.sweep.{swept}",
                found=list(values),
                allowed="a span of at least one octave",
                hint="widen it, or use search: fixed",
            )
        placed: list[_State] = []
        for cell in cells:
            parent = min(placed, key=lambda s: _apart(s.cell, cell), default=None)
            placed.append(_State(series, cell, parent, swept, xs, start, bounds))
        states += placed
    return states


def _axis(settled: Settled) -> tuple[str, tuple[float, ...]]:
    """The one axis with several values; the LR where every axis has a single one."""
    swept = settled.swept()
    several = [name for name, values in swept.items() if len(values) > 1]
    if len(several) > 1:
        raise InputError(
            "a bracket search runs along one axis",
            where="grid",
            found=" and ".join(f"{len(swept[name])} values of {name}" for name in several),
            allowed="several values of one axis, a single one of every other",
            hint="use search: fixed, or fix all axes but one",
        )
    name = several[0] if several else "lr"
    return name, swept[name]


def _distance(cell: Cell, base: BaseSpec) -> tuple[float, float, float]:
    """How far a cell lies from the base: the root of a series is the nearest."""
    depth, width = math.log2(cell.depth / base.depth), math.log2(cell.width / base.width)
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
    start, parent = state.start, state.parent
    if parent is None or not math.isfinite(parent.log2):
        return start if parent is None or not parent.started else parent.guess
    before = parent.parent
    if before is None or not math.isfinite(before.log2):
        return parent.log2
    drift = (parent.log2 - before.log2) / max(_apart(before.cell, parent.cell), 1e-9)
    step = drift * _apart(parent.cell, state.cell)
    return parent.log2 + max(-2.0, min(2.0, step))
