"""What computing only the non-zeros brings: a step, the break-even density, memory, and a whole answer.

    python benchmarks/sparse.py            everything; results/benchmarks/sparse.json and sparse.png
    python benchmarks/sparse.py --quick    small sizes, for a look whether it runs; writes nothing
    python benchmarks/sparse.py --only step,break-even,memory,answer      some of it; adds to what is there
    python benchmarks/sparse.py --only step --widths 2048 --densities 128

Steps are timed by contenders that take turns (`contenders.py`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from common import BATCH, CORES, DEPTH, LENGTH, ROOT, Row, row, show, timed, write
from contenders import Contender, interleave, the_trial

SPARSEST = 1 / 128
STEP_TARGETS = {512: 9.0, 1024: 17.0, 2048: 30.0}
OWN_TARGET_1024, AUTO_TARGET, ANSWER_TARGET, MEMORY_TARGET = 3.5, 0.95, 40.0, 20.0
GRID_TRIALS = 36
"""The yardstick's way to one best LR: a grid of 12 LRs × 3 seeds."""


@dataclass(frozen=True)
class Size:
    """What is measured."""

    widths: tuple[int, ...]
    densities: tuple[float, ...]
    rounds: int
    compile: str
    answer_width: int
    answer_steps: int


FULL = Size((256, 512, 1024, 2048), tuple(0.5**i for i in range(2, 8)), 7, "always", 1024, 200)
QUICK = Size((64, 128), (1 / 4, SPARSEST), 2, "never", 64, 20)


def steps_table(size: Size) -> list[Row]:
    """A trial-step against the plain baseline, and `auto` against our own dense step."""
    rows = []
    for width in size.widths:
        with ExitStack() as stack:
            shared = {"plain": stack.enter_context(Contender("plain", width, SPARSEST, 1, 0, size.compile))}
            shared["plain, a process a core"] = stack.enter_context(
                Contender("plain", width, SPARSEST, CORES, 1, size.compile)
            )
            for density in size.densities:
                with (
                    Contender("auto", width, density, CORES, 1, size.compile) as auto,
                    Contender("dense", width, density, CORES, 1, size.compile) as dense,
                ):
                    took = interleave({**shared, "auto": auto, "dense": dense}, size.rounds)
                rows += step_rows(width, density, auto.said, took)
                show(rows[-3:])
    return rows


def step_rows(width: int, density: float, products: str, took: dict[str, float]) -> list[Row]:
    """The rows of one size.

    The dense program is timed at the same density: where it multiplies mostly zeros the same instructions were seen to
    run up to 6% faster (less power is the likely reason). The plain baseline is timed at the lowest density, which is
    to its advantage.
    """
    at = f"step, d={width}, density 1/{round(1 / density)} ({products})"
    sparsest = density == SPARSEST
    own = OWN_TARGET_1024 if sparsest and width == 1024 else AUTO_TARGET
    ms = {name: 1e3 * seconds for name, seconds in took.items()}
    target = STEP_TARGETS.get(width) if sparsest else None
    return [
        row(f"{at} over plain", ms["auto"], ms["plain"], target, "ms"),
        row(f"{at} over plain, a process a core", ms["auto"], ms["plain, a process a core"], None, "ms"),
        row(f"{at} over our dense step", ms["auto"], ms["dense"], own, "ms"),
    ]


def break_even(size: Size) -> list[Row]:
    """The three products of one layer, dense over sparse, in the precision and at the tokens of a step."""
    import torch

    from hptransfer.sparsity.breakeven import LayerShape, measure_layer
    from hptransfer.training.process import prepare_process
    from hptransfer.training.settings import WorkerSettings

    device = prepare_process(WorkerSettings(device="cpu"))
    assert torch.get_num_threads() == 1
    rows = []
    for precision in ("fp32", "bf16"):
        for width in size.widths:
            for density in size.densities:
                shape = LayerShape(width, width, round(density * width**2), BATCH * LENGTH, precision)  # type: ignore[arg-type]
                timing = measure_layer(shape, device)
                name = f"products, {precision}, d={width}, density 1/{round(1 / density)}"
                rows.append(row(name, 1e3 * timing.sparse, 1e3 * timing.dense, None, "ms"))
                rows[-1] |= {"width": width, "density": density, "precision": precision}
    show(rows)
    return rows


def memory(size: Size) -> list[Row]:
    """Bytes of everything a sparse layer keeps between two steps: weights, momenta, mask or indices."""
    rows = []
    for width in size.widths:
        kept = {products: hidden_bytes(width, products) for products in ("dense", "sparse")}
        name = f"memory of the hidden layers, d={width}, density 1/128"
        rows.append(row(name, kept["sparse"] / 2**20, kept["dense"] / 2**20, MEMORY_TARGET, "MiB"))
    show(rows)
    return rows


def hidden_bytes(width: int, products: str) -> int:
    """Counted on the tensors a program would hold; the sheets of other parameters are left out."""
    from hptransfer.training.build import initial_state, table_of, tensor_shapes
    from hptransfer.training.layout import make_layout

    trial = the_trial(width, SPARSEST)
    hidden = {r.name for r in table_of(trial) if r.density < 1}
    layout = make_layout(tensor_shapes(trial), hidden if products == "sparse" else ())
    state = initial_state(trial, layout)
    weights = sum(p.rows * state.sheets[p.sheet].shape[1] for p in layout.places if p.name in hidden)
    index = sum(b.numel() * b.element_size() for b in state.buffers.values() if b.dim())
    return 12 * weights + index + (weights if products == "dense" else 0)


def answer(size: Size) -> list[Row]:
    """The best LR at 99.2%: ours found by `search: bracket`, start to end; the grid's from its measured parts."""
    study = f"""
name: sparse-answer
question: Which LR is best at 99.2% sparsity?
training: {{steps: {size.answer_steps}, batch_size: {BATCH}, sequence_length: {LENGTH}}}
base: {{width: 64, depth: {DEPTH}}}
grid:
  rules: [supar]
  widths: [{size.answer_width}]
  densities: [1/128]
  lr: {{octaves: [-11, 0], step: 1}}
  search: bracket
  seeds: 2
check: {{enabled: false}}
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sparse-answer.yaml"
        path.write_text(study, encoding="utf-8")
        command = [sys.executable, "-m", "hptransfer", "fanout", str(path), "--results", f"{folder}/results"]
        ours = timed(command)
        trials = len(list(Path(folder).rglob("trials/*.parquet")))
    plain = [sys.executable, str(ROOT / "benchmarks" / "plain.py"), "--width", str(size.answer_width)]
    few, more = (timed([*plain, "--density", str(SPARSEST), "--steps", str(steps)]) for steps in (2, 12))
    step = (more - few) / 10
    grid = GRID_TRIALS * (few + (size.answer_steps - 2) * step)
    name = (
        f"best LR, d={size.answer_width}, density 1/128, {size.answer_steps} steps, over a 12 × 3 grid of plain trials"
    )
    found = row(name, ours, grid, ANSWER_TARGET, "s")
    found["how"] = (
        f"ours measured ({trials} parts); the grid is 36 × (start {few - 2 * step:.1f} s + steps × {step:.3f} s)"
    )
    show([found])
    return [found]


def main() -> None:
    """Measure what was asked for, print it, and write it unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="break-even,memory,step,answer")
    parser.add_argument("--widths", type=int, nargs="*", help="only these")
    parser.add_argument("--densities", type=int, nargs="*", help="only one over these")
    a = parser.parse_args()
    size = QUICK if a.quick else FULL
    if a.widths:
        size = replace(size, widths=tuple(a.widths))
    if a.densities:
        size = replace(size, densities=tuple(1 / n for n in a.densities))
    parts = {"break-even": break_even, "memory": memory, "step": steps_table, "answer": answer}
    for name in a.only.split(","):
        rows = parts[name](size)
        if a.quick:
            continue
        write("sparse", rows, add=True)  # part by part: the whole takes an hour


if __name__ == "__main__":
    main()
