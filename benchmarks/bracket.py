"""The optimum of every cell by bracket search, against the fixed grid and a dense reference grid.

    python benchmarks/bracket.py            results/benchmarks/bracket.json and bracket.png
    python benchmarks/bracket.py --quick    a look whether it runs; writes nothing

One question: where is the best LR of SμPar at three densities? The search starts untuned (it pays for its probe) and
runs three times, on other seeds each time; and four times with no more than a fifth of the grid's trials, on two
seeds, for what such a budget is worth. The yardstick is a grid of 12 LRs × 3 seeds a cell; its wall time by the
plain baseline is that of some of its runs, one fresh process each, times their number. Errors are against the optimum
fitted to a grid of half octaves: over the very seeds that were given to the search (did it find what they hold?), and
over all eight (what do other seeds say?). Commands are timed from outside, compiled programs already in the cache.
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

WIDTH, STEPS = 64, 122
DENSITIES = (1.0, 0.5, 0.25)
LRS, SEEDS = 12, 3
FEW = LRS * SEEDS // 5
"""Trials a cell of a search that may spend a fifth of the grid's."""
TRIALS_TARGET, WALL_TARGET, ERROR_TARGET = 5.0, 15.0, 0.15


@dataclass(frozen=True)
class Run:
    """One command: its wall seconds, and the rows it left."""

    seconds: float
    frame: pd.DataFrame

    @property
    def trial_steps(self) -> int:
        """Training steps of all trials."""
        return int(self.frame["steps"].sum())

    def optima(self, seeds: list[int] | None = None) -> dict[float, float]:
        """Each density's log2 optimum, over all seeds or some."""
        from hptransfer import judge

        rows = self.frame if seeds is None else self.frame[self.frame["seed"].isin(seeds)]
        return {float(c.density): float(c.optimum_log2) for c in judge(rows).cells.itertuples()}


def run(lr: str, seeds: list[int], search: str, densities: tuple[float, ...], steps: int) -> Run:
    """A fan-out into a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.yaml"
        path.write_text(
            f"""
name: answer
training: {{steps: {steps}, batch_size: {BATCH}, sequence_length: {LENGTH}, precision: bf16, eval_tokens: 8192}}
base: {{width: {WIDTH}, depth: {DEPTH}}}
grid: {{rules: [supar], widths: [{WIDTH}], densities: {list(densities)}, lr: {lr}, seeds: {seeds}, search: {search}}}
check: {{enabled: false}}
"""
        )
        command = [sys.executable, "-m", "hptransfer", "fanout", str(path), "--results", f"{folder}/results"]
        seconds = timed(command)
        return Run(seconds, pd.concat(pd.read_parquet(p) for p in Path(folder).rglob("trials/*.parquet")))


def plain_seconds(runs: int, steps: int) -> float:
    """Wall seconds of one plain baseline trial, a fresh process."""
    command = [sys.executable, str(ROOT / "benchmarks" / "plain.py"), "--width", str(WIDTH), "--steps", str(steps)]
    command += ["--density", "0.25", "--batch", str(BATCH), "--length", str(LENGTH)]
    return sum(timed(command) for _ in range(runs)) / runs


def worst(found: dict[float, float], truth: dict[float, float]) -> float:
    """Largest error of an optimum, octaves; infinite when a cell has none."""
    errors = [abs(found[density] - at) for density, at in truth.items()]
    return max((e if math.isfinite(e) else math.inf) for e in errors)


def errors(found: list[Run], truth: Run) -> list[float]:
    """Errors of these runs' optima against the reference over their own seeds; infinite without an optimum."""
    wrong = []
    for one in found:
        at, own = one.optima(), truth.optima(sorted(set(one.frame["seed"])))
        wrong += [at[density] - own[density] for density in own]
    return [e if math.isfinite(e) else math.inf for e in wrong]


def few_rows(found: list[Run], truth: Run, grid_steps: float, name: str) -> list[Row]:
    """What a search of few trials spends and how far off it is: the worst of a dozen errors and their rms."""
    wrong = errors(found, truth)
    spent = statistics.fmean(one.trial_steps for one in found)
    name = f"{name}, at most {FEW} trials a cell"
    return [
        row(f"{name}: trial-steps, search against grid", spent, grid_steps, TRIALS_TARGET, ""),
        bound(f"{name}: rms error of {len(wrong)} optima", math.hypot(*wrong) / len(wrong) ** 0.5, None, "octaves"),
        bound(f"{name}: worst error", max(map(abs, wrong)), ERROR_TARGET, "octaves"),
    ]


def measure(
    densities: tuple[float, ...],
    steps: int,
    reference: tuple[str, int],
    searches: list[list[int]],
    few: list[list[int]],
) -> list[Row]:
    """All rows; `searches` and `few` name the seeds that each search may use, `reference` LRs and number of seeds."""
    axis = f"{{octaves: [-{LRS + 1}, -2]}}"
    truth = run(reference[0], list(range(reference[1])), "fixed", densities, steps)
    grid = run(axis, list(range(SEEDS)), "fixed", densities, steps)
    found = [run(axis, seeds, "bracket", densities, steps) for seeds in searches]
    trials = len(densities) * LRS * SEEDS
    plain = trials * plain_seconds(3, steps)
    spent = statistics.fmean(f.trial_steps for f in found)
    seconds = statistics.median(f.seconds for f in found)
    name = f"{len(densities)} cells, d={WIDTH}, {steps} steps"
    own = max(map(abs, errors(found, truth)))
    short = [run(axis, seeds, f"bracket, bracket: {{max_trials: {FEW}}}", densities, steps) for seeds in few]
    rows = [
        *few_rows(short, truth, float(trials * steps), name),
        row(f"{name}: trial-steps, search against grid", spent, float(trials * steps), TRIALS_TARGET, ""),
        row(f"{name}: wall time, search against the grid by plain runs", seconds, plain, WALL_TARGET, "s"),
        row(f"{name}: wall time, search against our own grid", seconds, grid.seconds, None, "s"),
        bound(f"{name}: worst error, {len(found)} searches, reference of the same seeds", own, ERROR_TARGET, "octaves"),
        bound(
            f"{name}: worst error of the grid, reference of the same seeds",
            worst(grid.optima(), truth.optima(list(range(SEEDS)))),
            None,
            "octaves",
        ),
        bound(
            f"{name}: worst error, {len(found)} searches, reference of {reference[1]} seeds",
            max(worst(f.optima(), truth.optima()) for f in found),
            None,
            "octaves",
        ),
        bound(
            f"{name}: worst error of the grid, reference of {reference[1]} seeds",
            worst(grid.optima(), truth.optima()),
            None,
            "octaves",
        ),
    ]
    for density, at in truth.optima().items():
        rows[-1][f"reference_{density:g}"] = at
        rows[-1][f"searches_{density:g}"] = [f.optima()[density] for f in found]
        rows[-1][f"grid_{density:g}"] = grid.optima()[density]
    show(rows)
    return rows


def main() -> None:
    """Measure, print, and write unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    if parser.parse_args().quick:
        measure(DENSITIES[:1], 20, ("{octaves: [-10, -4]}", 2), [[0, 1]], [[0, 1]])
        return
    searches, few = [[0, 1, 2], [3, 4, 5], [6, 7, 0]], [[0, 1], [2, 3], [4, 5], [6, 7]]
    rows = measure(DENSITIES, STEPS, ("{octaves: [-10, -5], step: 0.5}", 8), searches, few)
    write("bracket", rows)


if __name__ == "__main__":
    main()
