"""Stacked trials on one GPU against the plain baseline on it; where there is none, rows marked as not measured.

python benchmarks/gpu.py             everything; results/benchmarks/gpu.json
python benchmarks/gpu.py --quick     the smallest width only; writes nothing
"""

from __future__ import annotations

import argparse
import statistics
import time

import plain
import torch
from common import BATCH, DEPTH, LENGTH, Row, not_measured, row, show, write
from contenders import the_trial

DENSITY = 0.25
TARGETS = {128: 100.0, 256: 40.0, 1024: 2.5}
MANY = 128
"""Trials waiting, from which the calibration takes as many at once as pays."""


def width_row(width: int) -> Row:
    """A trial-step of a calibrated stack over one of the plain baseline, medians."""
    from hptransfer.training.calibrate import stack_size, time_program
    from hptransfer.training.process import prepare_process
    from hptransfer.training.program_cache import program_for
    from hptransfer.training.settings import WorkerSettings

    settings = WorkerSettings(device="cuda", compile="always")
    device = prepare_process(settings)
    trial = the_trial(width, DENSITY)
    stack = stack_size([trial] * MANY, settings, device)
    own = time_program(program_for(trial, settings, device, stack), trial, repeats=50)
    found = row(f"GPU step, d={width}, {stack} stacked, over plain", 1e3 * own, plain_ms(width), TARGETS[width], "ms")
    return found


def plain_ms(width: int) -> float:
    """Median milliseconds of a baseline step on the GPU; its loss is read every step, which waits for the device."""
    torch.set_default_device("cuda")
    try:
        step, _ = plain.make_step(width, DEPTH, DENSITY, BATCH, LENGTH)
        tokens = plain.batch_of(plain.corpus().to("cuda"), BATCH, LENGTH)
        took = []
        for _ in range(60):
            start = time.perf_counter()
            step(tokens, 1.0)
            took.append(time.perf_counter() - start)
    finally:
        torch.set_default_device("cpu")
    return 1e3 * statistics.median(took[10:])


def main() -> None:
    """Measure where there is a GPU, and say so where there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    a = parser.parse_args()
    widths = [128] if a.quick else list(TARGETS)
    if torch.cuda.is_available():
        rows = [width_row(width) for width in widths]
    else:
        rows = [not_measured(f"GPU step, d={width}: no GPU here", TARGETS[width], "ms") for width in widths]
    show(rows)
    if a.quick:
        return
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    write("gpu", rows, gpu=name)


if __name__ == "__main__":
    main()
