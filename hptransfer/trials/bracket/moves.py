"""What one cell of a bracket search does next, given what it has seen. Pure: points in, a move out.

`hptransfer.trials.bracket.search` drives many such cells at once. The rules, in the order they are tried:

1. Four values around the guess, −1½h, −½h, ½h and 1½h, two to either side of it: seed A at the lowest and the upper
   two, seed B at the upper three. Runs are noisier at high values, and two that the seeds share tell their offsets
   apart from the curve.
2. Minimum at or beyond an end: two more values on that side; against a wall of divergence, the values before it.
3. No minimum at all, or two basins: give up on the parabola and run the fixed axis.
4. Narrow enough, but seen with fewer seeds than asked for: a fresh seed.
5. Interval too wide: a fresh seed, for each has an optimum of its own (`analysis.seed_spread`) and one more run of an
   old one tells little about the others; with none left, or no room for its four runs, the holes of the table, the
   far values first, since the vertex is known the better the further apart its supports lie; then values between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hptransfer.analysis.optimum import CellPoints, Noise, Optimum, fit_optimum
from hptransfer.study.study import BracketSpec

__all__ = ["LATTICE", "SET", "Ask", "Bounds", "Move", "Point", "first_asks", "next_move", "snap", "two_basins"]

LATTICE = 0.25
"""Values are asked for on quarter octaves, so that neighbours, resumed runs and fixed grids share rows."""

BRACKET = (-1.5, -0.5, 0.5, 1.5)
"""The first bracket about its middle, in units of its spacing."""
SET = len(BRACKET)
"""Runs that a fresh seed starts with: by one or two its own offset could not be told from the curve."""

BUMP_SIGMAS = 4.0
"""A rise between two dips counts as a second basin when it stands this many standard errors above both."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A run that a cell asks for: log2 of the swept value, and a seed."""

    x: float
    seed: int


@dataclass(frozen=True, slots=True)
class Point:
    """One finished run of a cell. `loss` is infinite when it diverged."""

    x: float
    seed: int
    loss: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """The log2 values a search may visit."""

    low: float
    high: float

    def __contains__(self, x: float) -> bool:
        return self.low - 1e-9 <= x <= self.high + 1e-9


@dataclass(frozen=True, slots=True)
class Move:
    """Runs to ask for; or, with none, why the cell stops. `fall_back` asks for the fixed axis instead."""

    asks: tuple[Ask, ...] = ()
    why: str = ""
    fall_back: bool = False
    optimum: Optimum | None = None


def snap(x: float) -> float:
    """The nearest quarter octave."""
    return round(x / LATTICE) * LATTICE


def first_asks(guess: float, seeds: Sequence[int], settings: BracketSpec, bounds: Bounds) -> tuple[Ask, ...]:
    """The first six runs around `guess`, moved as a whole to lie within `bounds`."""
    h = _spacing(settings, bounds)
    first, second = seeds[0], seeds[min(1, len(seeds) - 1)]
    lowest = snap(min(max(guess + BRACKET[0] * h, bounds.low), bounds.high - (SET - 1) * h))
    low, high, highest = (lowest + k * h for k in range(1, SET))
    asks = [Ask(x, first) for x in (lowest, high, highest)] + [Ask(x, second) for x in (low, high, highest)]
    return tuple(dict.fromkeys(ask for ask in asks if ask.x in bounds))


def next_move(
    points: Sequence[Point],
    guess: float,
    seeds: Sequence[int],
    settings: BracketSpec,
    bounds: Bounds,
    noise: Noise | None = None,
) -> Move:
    """The next move of a cell whose asked-for runs have all come back. `noise` is pooled over the study's cells."""
    if not points:
        return Move(first_asks(guess, seeds, settings, bounds))
    optimum = fit_optimum(CellPoints.of((2.0**p.x, p.seed, p.loss) for p in points), noise)
    if two_basins(optimum):
        return Move(why="the loss has two basins", fall_back=True, optimum=optimum)
    if optimum.status == "flat":
        return Move(why="the loss has no minimum that a parabola could name", fall_back=True, optimum=optimum)
    h = _spacing(settings, bounds)
    narrow = optimum.settled and optimum.half_width <= settings.width
    fresh = [seed for seed in seeds if seed not in {p.seed for p in points}]
    few = len(seeds) - len(fresh) < settings.min_seeds and bool(fresh)
    if narrow and not few:
        return Move(why=f"interval ±{optimum.half_width:.2f} octave", optimum=optimum)
    room = settings.max_trials - len(points)
    if room <= 0:
        return Move(why=f"{len(points)} trials, the most allowed", optimum=optimum)
    if narrow:
        asks, why = _first_of(fresh[0], points, optimum, h), ""
    elif optimum.status in ("edge", "one-sided", "few points"):
        asks = _widen(points, optimum, h, bounds, seeds)
        why = "the minimum lies at the end of the range or against divergence"
    else:
        asks = _sharpen(points, optimum, h, seeds, room)
        why = "every seed has run at every value"
    return Move(asks[:room], "" if asks else why, optimum=optimum)


def two_basins(optimum: Optimum) -> bool:
    """Whether the means rise and fall again by far more than their noise on either side of the best value."""
    fit = optimum.fit
    if fit is None or len(fit.means) < 4:
        return False
    error = BUMP_SIGMAS * np.sqrt(np.diag(fit.sigma))
    best, places = int(np.argmin(fit.means)), range(len(fit.means))
    beyond = [(j, k) for j in places for k in places if best < j < k or k < j < best]
    return any(fit.means[j] - fit.means[k] > math.hypot(error[j], error[k]) for j, k in beyond)


def _spacing(settings: BracketSpec, bounds: Bounds) -> float:
    """Octaves between the values of the first bracket: as asked for, or less where four do not fit the range."""
    room = math.floor((bounds.high - bounds.low) / 3 / LATTICE + 1e-9) * LATTICE
    return max(LATTICE, min(snap(settings.step), room))


def _widen(
    points: Sequence[Point], optimum: Optimum, h: float, bounds: Bounds, seeds: Sequence[int]
) -> tuple[Ask, ...]:
    """Two more values on the side where the minimum may lie, or the values left before a wall of divergence."""
    finite = {p.x for p in points if math.isfinite(p.loss)}
    low, high = min(finite or {p.x for p in points}), max(finite, default=math.nan)
    if not finite or optimum.side != "high":  # where everything diverged: go down
        further = [low - h, low - 2 * h]
    elif math.isfinite(optimum.ceiling):
        gap = [x for x in (high + LATTICE * k for k in range(1, 40)) if x < optimum.ceiling - 1e-9]
        further = gap if len(gap) <= 2 else [gap[len(gap) // 3], gap[2 * len(gap) // 3]]
    else:
        further = [high + h, high + 2 * h]
    return _alternate(further, seeds, bounds)


def _alternate(xs: Sequence[float], seeds: Sequence[int], bounds: Bounds) -> tuple[Ask, ...]:
    return tuple(Ask(x, seeds[k % min(2, len(seeds))]) for k, x in enumerate(xs) if x in bounds)


def _near(points: Sequence[Point], optimum: Optimum, h: float) -> list[float]:
    """The values that trained and lie near enough to the minimum to say where it is, rising."""
    return sorted({p.x for p in points if math.isfinite(p.loss) and abs(p.x - optimum.log2) <= 2.5 * h})


def _first_of(seed: int, points: Sequence[Point], optimum: Optimum, h: float) -> tuple[Ask, ...]:
    """The first `SET` runs of a fresh seed: at the values that lie most like a first bracket around the vertex."""
    values = _near(points, optimum, h)
    chosen: list[float] = []
    for offset in BRACKET:
        left = [x for x in values if x not in chosen]
        chosen += [min(left, key=lambda x: abs(x - optimum.log2 - offset * h))] if left else []
    return tuple(Ask(x, seed) for x in sorted(chosen))


def _sharpen(points: Sequence[Point], optimum: Optimum, h: float, seeds: Sequence[int], room: int) -> tuple[Ask, ...]:
    """Two or four runs that narrow the interval most, where there is room for so many."""
    done = {(p.x, p.seed) for p in points}
    values = _near(points, optimum, h)
    by_distance = sorted(values, key=lambda x: -abs(x - optimum.log2))
    for seed in seeds:
        if room >= SET and not any(s == seed for _, s in done):
            return _first_of(seed, points, optimum, h)
    for seed in seeds:
        holes = [x for x in by_distance if (x, seed) not in done]
        if holes:
            return tuple(Ask(x, seed) for x in holes[:2])
    # Every seed has run at every value: new values between them, nearest the vertex first.
    between = [snap((a + b) / 2) for a, b in pairwise(values) if b - a > LATTICE + 1e-9]
    return tuple(Ask(x, seeds[0]) for x in sorted(between, key=lambda x: abs(x - optimum.log2))[:2])
