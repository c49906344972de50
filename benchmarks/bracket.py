"""The optimum of every cell by bracket search, against the fixed grid and a dense reference grid.

    python benchmarks/bracket.py            results/benchmarks/bracket.json and bracket.png
    python benchmarks/bracket.py --quick    a look whether it runs; writes nothing

One question: where is the best LR of SμPar at two widths and four densities? The search starts untuned (it pays for
its probe) and runs twice as it is by default, with three seeds, other ones each time, until it vouches for ±0.15
octave or reaches its cap; and four times with two seeds and no more than a fifth of the grid's trials. The yardstick
is a grid of 12 LRs × 3 seeds a cell; its wall time by the plain baseline is that of some of its runs, one fresh
process each, times their number. Errors are against the optimum fitted to a grid of half octaves: over the very seeds
that were given to the search (did it find what they hold?), and over all eight (what do other seeds say?). Commands
are timed from outside, compiled programs already in the cache.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from common import BATCH, DEPTH, LENGTH, ROOT, Row, bound, row, show, timed, write

WIDTHS, STEPS = (64, 128), 122
DENSITIES = (1.0, 0.5, 0.25, 0.125)
LRS, SEEDS = 12, 3
FEW = LRS * SEEDS // 5
"""Trials a cell of a search that may spend a fifth of the grid's."""
TRIALS_TARGET, WALL_TARGET, ERROR_TARGET = 5.0, 15.0, 0.15

Cell = tuple[int, float]
"""Width and density."""


@dataclass(frozen=True)
class Question:
    """The cells that are asked for, and the steps of a run."""

    widths: tuple[int, ...]
    densities: tuple[float, ...]
    steps: int

    @property
    def cells(self) -> int:
        return len(self.widths) * len(self.densities)

    @property
    def name(self) -> str:
        widths = " and ".join(map(str, self.widths))
        return f"{self.cells} cell{'s' if self.cells > 1 else ''}, d={widths}, {self.steps} steps"


@dataclass(frozen=True)
class Run:
    """One command: its wall seconds, and the rows it left."""

    seconds: float
    frame: pd.DataFrame

    @property
    def trial_steps(self) -> int:
        """Training steps of all trials."""
        return int(self.frame["steps"].sum())

    @property
    def seeds(self) -> list[int]:
        """The seeds that ran."""
        return sorted(set(self.frame["seed"]))

    def optima(self, seeds: list[int] | None = None) -> dict[Cell, float]:
        """Each cell's log2 optimum, over all seeds or some."""
        from hptransfer import judge

        rows = self.frame if seeds is None else self.frame[self.frame["seed"].isin(seeds)]
        return {(int(c.width), float(c.density)): float(c.optimum_log2) for c in judge(rows).cells.itertuples()}


def run(question: Question, lr: str, seeds: list[int], search: str) -> Run:
    """A fan-out into a fresh folder."""
    from hptransfer import read_results

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.yaml"
        grid = f"rules: [supar], widths: {list(question.widths)}, densities: {list(question.densities)}"
        training = f"steps: {question.steps}, batch_size: {BATCH}, sequence_length: {LENGTH}"
        path.write_text(
            f"""
name: answer
training: {{{training}, precision: bf16, eval_tokens: 8192}}
base: {{width: {question.widths[0]}, depth: {DEPTH}}}
grid: {{{grid}, lr: {lr}, seeds: {seeds}, search: {search}}}
check: {{enabled: false}}
"""
        )
        command = [sys.executable, "-m", "hptransfer", "fanout", str(path), "--results", f"{folder}/results"]
        seconds = timed(command)
        return Run(seconds, read_results(f"{folder}/results/answer"))


def plain_seconds(question: Question, runs: int) -> float:
    """Wall seconds of the grid by the plain baseline: the mean of `runs` fresh processes a width, times its trials."""
    total = 0.0
    for width in question.widths:
        command = [sys.executable, str(ROOT / "benchmarks" / "plain.py"), "--width", str(width), "--density", "0.25"]
        command += ["--steps", str(question.steps), "--batch", str(BATCH), "--length", str(LENGTH)]
        total += sum(timed(command) for _ in range(runs)) / runs * len(question.densities) * LRS * SEEDS
    return total


def errors(found: list[Run], truth: Run, *, own: bool) -> list[float]:
    """Errors of these runs' optima against the reference, over their own seeds or all; infinite without an optimum."""
    wrong = []
    for one in found:
        at, right = one.optima(), truth.optima(one.seeds if own else None)
        wrong += [at[cell] - right[cell] for cell in right]
    return [e if math.isfinite(e) else math.inf for e in wrong]


def error_rows(name: str, found: list[Run], truth: Run, target: float | None) -> list[Row]:
    """How far off the optima are: their root mean square and the worst, and against what other seeds say."""
    own, all_seeds = errors(found, truth, own=True), errors(found, truth, own=False)
    return [
        bound(f"{name}: rms error of {len(own)} optima, reference of the same seeds", _rms(own), target, "octaves"),
        bound(f"{name}: worst of these errors", max(map(abs, own)), None, "octaves"),
        bound(f"{name}: rms error, reference of {len(truth.seeds)} seeds", _rms(all_seeds), None, "octaves"),
    ]


def _rms(values: list[float]) -> float:
    return math.hypot(*values) / len(values) ** 0.5


def search_rows(name: str, found: list[Run], truth: Run, grid: Run, plain: float, *, targets: bool) -> list[Row]:
    """What a search spends, in trial-steps and wall time, and how far off it is."""
    spent = statistics.fmean(one.trial_steps for one in found)
    seconds = statistics.median(one.seconds for one in found)
    trials, wall, error = (TRIALS_TARGET, WALL_TARGET, ERROR_TARGET) if targets else (None, None, None)
    return [
        row(f"{name}: trial-steps, search against grid", spent, float(grid.trial_steps), trials, ""),
        row(f"{name}: wall time, search against the grid by plain runs", seconds, plain, wall, "s"),
        row(f"{name}: wall time, search against our own grid", seconds, grid.seconds, None, "s"),
        *error_rows(name, found, truth, error),
    ]


def measure(
    question: Question, reference: tuple[str, int], searches: list[list[int]], few: list[list[int]]
) -> list[Row]:
    """All rows; `searches` and `few` name the seeds that each search may use, `reference` LRs and number of seeds."""
    axis = f"{{octaves: [-{LRS + 1}, -2]}}"
    truth = run(question, reference[0], list(range(reference[1])), "fixed")
    grid = run(question, axis, list(range(SEEDS)), "fixed")
    short = [run(question, axis, seeds, f"bracket, bracket: {{max_trials: {FEW}}}") for seeds in few]
    found = [run(question, axis, seeds, "bracket") for seeds in searches]
    plain = plain_seconds(question, 3)
    name = question.name
    rows = [
        *search_rows(f"{name}, at most {FEW} trials a cell", short, truth, grid, plain, targets=True),
        *search_rows(f"{name}, as it is by default", found, truth, grid, plain, targets=False),
        *error_rows(f"{name}, the {LRS} × {SEEDS} grid", [grid], truth, None),
    ]
    rows[-1]["cells"] = [
        {
            "width": width,
            "density": density,
            "reference": at,
            "grid": grid.optima()[width, density],
            "few": [one.optima()[width, density] for one in short],
            "searches": [one.optima()[width, density] for one in found],
        }
        for (width, density), at in truth.optima().items()
    ]
    show(rows)
    return rows


def main() -> None:
    """Measure, print, and write unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    if parser.parse_args().quick:
        measure(Question((64,), (1.0,), 20), ("{octaves: [-10, -4]}", 2), [[0, 1]], [[0, 1]])
        return
    few, searches = [[0, 1], [2, 3], [4, 5], [6, 7]], [[0, 1, 2], [3, 4, 5]]
    rows = measure(Question(WIDTHS, DENSITIES, STEPS), ("{octaves: [-10, -5], step: 0.5}", 8), searches, few)
    write("bracket", rows)


if __name__ == "__main__":
    main()
