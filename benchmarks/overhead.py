"""What the machinery costs: overhead a trial and its share of a sweep, the driver's memory, reading a large store.

    python benchmarks/overhead.py            results/benchmarks/overhead.json
    python benchmarks/overhead.py --quick    few trials and rows; writes nothing

A sweep of 1,000 tiny trials, one Ray worker a core. Overhead is the sweep's wall time beyond its trials' own wall time
shared among the workers; starting Ray and the workers' first trial, paid once a sweep, are reported on their own.
Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from common import CORES, Row, bound, show, write

from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.runner import Runner
from hptransfer.store.columns import row_of
from hptransfer.store.store import Store
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.study.trial import Outcome, Trial
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.settings import WorkerSettings

ROWS_A_PART = 8
DATA = DataSpec(source="synthetic", vocab_size=32)
TRIAL_MS, SHARE, READ_SECONDS, GROWTH_MIB = 10.0, 0.05, 2.0, 16.0


def tiny_trials(count: int) -> list[Trial]:
    """Trials of about a tenth of a second that differ in LR and seed."""
    training = TrainingSpec(steps=24, batch_size=8, sequence_length=32, eval_tokens=2048, precision="fp32")
    model = ModelSpec(options={"head_size": 16})
    data_id = open_corpus(DATA).fingerprint
    return [
        Trial(
            model=model,
            data=DATA,
            data_id=data_id,
            training=training,
            rule="sp",
            base_width=32,
            width=32,
            base_depth=1,
            depth=1,
            base=BaseHPs(lr=2.0 ** -(4 + i % 8)),
            seed=i // 8,
        )
        for i in range(count)
    ]


def resident_mib() -> float:
    """Memory of this process now, in MiB; its peak where the system tells nothing better."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def sweep(folder: Path, count: int) -> list[Row]:
    """Overhead of a sweep, and the driver's memory between its first fifth and its end."""
    store = Store.open(str(folder), "overhead")
    settings = WorkerSettings(device="cpu", compile="never")
    trials = tiny_trials(count)
    marks: list[tuple[float, float, float]] = []  # seconds, training seconds so far, MiB
    trained = 0.0
    with (
        store.lock(),
        Runner(
            store,
            lambda: make_executor("ray", Launch(settings, workers=CORES)),
            (),
            "overhead",
        ) as runner,
    ):
        began = time.perf_counter()
        runner.submit(trials, "grid")
        for row in runner.results():
            trained += row["wall_s"]
            marks.append((time.perf_counter(), trained, resident_mib()))
    # The first fifth warms up: workers start, import torch and open the corpus.
    warm = max(1, count // 5)
    wall = marks[-1][0] - marks[warm - 1][0]
    ideal = (marks[-1][1] - marks[warm - 1][1]) / CORES
    share = (wall - ideal) / wall
    a_trial = 1000 * (wall - ideal) / (count - warm)
    return [
        bound(f"overhead a trial, {count} trials of {ideal / (count - warm) * 1000:.0f} ms", a_trial, TRIAL_MS, "ms"),
        bound("overhead, share of the sweep's wall time", share, SHARE, ""),
        bound("start to first stored trial", marks[0][0] - began, None, "s"),
        bound("driver's memory, growth over the sweep", marks[-1][2] - marks[warm - 1][2], GROWTH_MIB, "MiB"),
    ]


def reading(folder: Path, rows: int) -> list[Row]:
    """Reading a store of `rows` rows that was written as packs of eight."""
    store = Store.open(str(folder), "reading")
    trial = tiny_trials(1)[0]
    outcome = Outcome(trial.id, "ok", 2.5, 2.5, None, 10**6, 10**5, 1e12, 1e11, trial.tokens, 1.0, 2**28, "cpu")
    like = row_of("reading", "grid", trial, outcome)
    with store.lock():
        for start in range(0, rows, ROWS_A_PART):
            part = range(start, min(start + ROWS_A_PART, rows))
            store.append([like | {"trial_id": f"{i:020x}", "seed": i} for i in part])
    began = time.perf_counter()
    frame = Store.open(str(folder), create=False).read()
    took = time.perf_counter() - began
    assert len(frame) == rows
    return [bound(f"read {rows} rows", took, READ_SECONDS, "s")]


def main() -> None:
    """Measure, print, and write unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    trials, stored = (20, 1000) if quick else (1000, 100_000)
    with tempfile.TemporaryDirectory() as folder:
        rows = sweep(Path(folder) / "sweep", trials) + reading(Path(folder) / "reading", stored)
    show(rows)
    if not quick:
        write("overhead", rows)


if __name__ == "__main__":
    main()
