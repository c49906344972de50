"""A dense step against the plain baseline at every width, and the share of the machine's own matmul peak it reaches.

    python benchmarks/step.py            everything; results/benchmarks/step.json and step.png
    python benchmarks/step.py --quick    two small widths, eager; writes nothing
    python benchmarks/step.py --widths 64 256

The model is 75% sparse and computed densely on both sides, by contenders that take turns (`contenders.py`).
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from common import CORES, Row, row, show, write
from contenders import Contender, interleave, the_trial

DENSITY = 0.25
PEAK_SIZE = 2048
STEP_TARGET, TWO_PROCESS_TARGET, PEAK_TARGET = 4.0, 3.0, 0.6
STRICT_TARGETS = {64: 1.7, 256: 2.3}


def steps_at(width: int, rounds: int, compiled: str) -> list[Row]:
    """All rows of one width."""
    with ExitStack() as stack:

        def enter(kind: str, processes: int, threads: int, size: int = width) -> Contender:
            return stack.enter_context(Contender(kind, size, DENSITY, processes, threads, compiled))

        took = interleave(
            {
                "plain": enter("plain", 1, 0),
                "plain, a process a core": enter("plain", CORES, 1),
                "bf16": enter("dense:bf16", CORES, 1),
                "fp32": enter("dense:fp32", CORES, 1),
                "matmul": enter("matmul", CORES, 1, PEAK_SIZE if compiled == "always" else 256),
            },
            rounds,
        )
    ms = {name: 1e3 * seconds for name, seconds in took.items()}
    rows = [
        row(f"dense step, d={width}, bf16 over plain", ms["bf16"], ms["plain"], STEP_TARGET, "ms"),
        row(
            f"dense step, d={width}, bf16 over plain, a process a core",
            ms["bf16"],
            ms["plain, a process a core"],
            TWO_PROCESS_TARGET,
            "ms",
        ),
        row(f"dense step, d={width}, fp32 over plain", ms["fp32"], ms["plain"], STRICT_TARGETS.get(width), "ms"),
        peak_row(width, took["bf16"], took["matmul"], PEAK_SIZE if compiled == "always" else 256),
    ]
    for r in rows:
        r["width"] = width
    show(rows)
    return rows


def peak_row(width: int, step_seconds: float, matmul_seconds: float, size: int) -> Row:
    """FLOP rate of a step over that of one large bf16 product on the same cores."""
    from hptransfer.training.flops import cost_of

    trial = the_trial(width, DENSITY)
    rate = cost_of(trial).flops_dense / trial.training.steps / step_seconds / 1e9
    peak = 2 * size**3 / matmul_seconds / 1e9
    target = PEAK_TARGET if width >= 512 else None
    share = rate / peak
    return {
        "name": f"share of the matmul peak, d={width}, bf16",
        "ours": rate,
        "baseline": peak,
        "ratio": share,
        "target": target,
        "met": None if target is None else share >= target,
        "unit": "GFLOP/s",
    }


def main() -> None:
    """Measure, print, and write unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--widths", type=int, nargs="*", help="only these, compiled; writes nothing")
    a = parser.parse_args()
    widths = a.widths or ([64, 128] if a.quick else [64, 128, 256, 512, 1024])
    rounds, compiled = (2, "never") if a.quick else (9, "always")
    rows = [r for width in widths for r in steps_at(width, rounds, compiled)]
    if a.quick or a.widths:
        return
    write("step", rows)


if __name__ == "__main__":
    main()
