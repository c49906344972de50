"""A sweep of 36 trials, start to end, against 36 runs of the plain baseline; and how cost grows with the trials.

    python benchmarks/sweep.py            everything; results/benchmarks/sweep.json and sweep.png
    python benchmarks/sweep.py --quick    few small trials; writes nothing

Ours is the ordinary command, `hptransfer fanout`, timed from outside: start of Python and Ray, compiling, training,
storing. *Cold* has an empty folder of compiled programs, *warm* the one an earlier sweep left. The baseline is one
fresh process a trial, one after the other, and for fairness also one single-threaded process a core. The two sides
take turns. The overhead is what is left of a sweep's wall time after the trials' own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import BATCH, CORES, DEPTH, LENGTH, ROOT, Row, row, show, timed, write

WIDTH, STEPS, DENSITY = 64, 122, 0.25
LRS, SEEDS = 12, 3
WARM_TARGET, COLD_TARGET = 8.0, 4.0


def study(lrs: int, seeds: int, width: int, steps: int) -> str:
    """A grid of LRs × seeds of one shape."""
    return f"""
name: sweep
training: {{steps: {steps}, batch_size: {BATCH}, sequence_length: {LENGTH}, precision: auto}}
base: {{width: {width}, depth: {DEPTH}}}
grid:
  rules: [supar]
  widths: [{width}]
  densities: [{DENSITY}]
  lr: {{octaves: [{-lrs // 2 - 5}, {-lrs // 2 - 5 + lrs - 1}]}}
  seeds: {seeds}
check: {{enabled: false}}
"""


def ours(lrs: int, seeds: int, cache: str, width: int = WIDTH, steps: int = STEPS) -> tuple[float, float]:
    """Wall seconds of the whole command, and the sum of its trials' own."""
    from hptransfer import read_results

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        path.write_text(study(lrs, seeds, width, steps))
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache, "XDG_CACHE_HOME": cache}
        command = [sys.executable, "-m", "hptransfer", "fanout", str(path), "--results", f"{folder}/results"]
        seconds = timed(command, environment)
        frame = read_results(f"{folder}/results/sweep")
    assert len(frame) == lrs * seeds, f"{len(frame)} of {lrs * seeds} trials were stored"
    return seconds, float(frame["wall_s"].sum())


def plain(trials: int, width: int = WIDTH, steps: int = STEPS, at_once: int = 1) -> float:
    """Wall seconds of that many fresh baseline processes, `at_once` at a time."""
    command = [sys.executable, str(ROOT / "benchmarks" / "plain.py"), "--width", str(width), "--steps", str(steps)]
    command += ["--density", str(DENSITY), "--batch", str(BATCH), "--length", str(LENGTH)]
    environment = {**os.environ, **({"OMP_NUM_THREADS": "1"} if at_once > 1 else {})}
    start = time.perf_counter()
    waiting, running = trials, []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
            waiting -= 1
        if running.pop(0).wait():
            raise RuntimeError("a baseline run failed")
    return time.perf_counter() - start


@contextmanager
def empty_cache() -> Iterator[str]:
    """A folder for compiled programs."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def sweep_rows(lrs: int, seeds: int, rounds: int, width: int, steps: int) -> list[Row]:
    """The whole sweep, cold and warm, over the baseline; medians of `rounds` turns."""
    trials = lrs * seeds
    cold, warm, own, base, base_each = [], [], [], [], []
    for _ in range(rounds):
        base.append(plain(trials, width, steps))
        with empty_cache() as cache:
            cold.append(ours(lrs, seeds, cache, width, steps)[0])
            seconds, inside = ours(lrs, seeds, cache, width, steps)
        warm.append(seconds)
        own.append(inside / CORES)
        base_each.append(plain(trials, width, steps, at_once=CORES))
    median = statistics.median
    name = f"sweep of {trials} trials, d={width}, {steps} steps"
    overhead = max(0.0, median(warm) - median(own))
    rows = [
        row(f"{name}, warm, over plain", median(warm), median(base), WARM_TARGET, "s"),
        row(f"{name}, cold, over plain", median(cold), median(base), COLD_TARGET, "s"),
        row(f"{name}, warm, over plain, a process a core", median(warm), median(base_each), None, "s"),
        row(f"{name}: start-up, loading programs and orchestration over training", overhead, median(own), None, "s"),
    ]
    show(rows)
    return rows


def growth_rows(counts: list[tuple[int, int]], width: int, steps: int) -> list[Row]:
    """Wall time of short sweeps as the trials grow, programs warm; the baseline's from its measured cost a trial."""
    found: list[Row] = []
    with empty_cache() as cache:
        ours(2, 1, cache, width, steps)
        points = [(lrs * seeds, ours(lrs, seeds, cache, width, steps)[0]) for lrs, seeds in counts]
    per_trial = plain(3, width, steps) / 3
    for trials, seconds in points:
        found.append(row(f"{trials} trials of {steps} steps, d={width}", seconds, trials * per_trial, None, "s"))
        found[-1]["trials"] = trials
    show(found)
    return found


def main() -> None:
    """Measure, print, and write unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the whole comparison; medians are written")
    a = parser.parse_args()
    if a.quick:
        sweep_rows(2, 2, 1, 32, 10)
        growth_rows([(2, 1), (4, 2)], 32, 10)
        return
    rows = sweep_rows(LRS, SEEDS, a.rounds, WIDTH, STEPS)
    rows += growth_rows([(5, 2), (10, 10), (20, 50)], WIDTH, 20)
    write("sweep", rows)


if __name__ == "__main__":
    main()
