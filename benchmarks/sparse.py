"""What computing only the non-zeros brings: a step, the break-even density, memory, and a whole answer.

    python benchmarks/sparse.py            everything; results/benchmarks/sparse.json and sparse.png
    python benchmarks/sparse.py --quick    small sizes, for a look whether it runs; writes nothing
    python benchmarks/sparse.py --only step,break-even,memory,answer

A step is timed on the whole machine: contenders live in processes of their own, which take turns, several rounds, and
medians count. The yardstick (`plain.py`) runs one process with torch's own number of threads, and for fairness also
one single-threaded process a core; ours runs one single-threaded process a core. Time is per trial-step.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "benchmarks"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BATCH, LENGTH, DEPTH = 16, 64, 2
SPARSEST = 1 / 128
STEP_TARGETS = {512: 9.0, 1024: 17.0, 2048: 30.0}
OWN_TARGET_1024, AUTO_TARGET, ANSWER_TARGET, MEMORY_TARGET = 3.5, 0.95, 40.0, 20.0
GRID_TRIALS = 36
"""The yardstick's way to one best LR: a grid of 12 LRs × 3 seeds."""

Row = dict[str, Any]


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


def row(name: str, ours: float, baseline: float, target: float | None, unit: str) -> Row:
    """A row of the table; `ratio` is baseline over ours, so that above 1 ours is better."""
    ratio = baseline / ours
    met = None if target is None else bool(ratio >= target)
    return {
        "name": name,
        "ours": ours,
        "baseline": baseline,
        "ratio": ratio,
        "target": target,
        "met": met,
        "unit": unit,
    }


# --- contenders: each in its own process, told by a line how many steps to run ---------------------------------------


class Contender:
    """`processes` copies of one way to train, which work at the same time when told to."""

    def __init__(self, kind: str, width: int, density: float, processes: int, threads: int, compiled: str) -> None:
        what = [kind, str(width), repr(density), str(threads), compiled]
        self.children = [
            subprocess.Popen(
                [sys.executable, __file__, "--contender", *what],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(processes)
        ]
        said = [self._answer(child) for child in self.children]
        self.said = said[0]

    def seconds(self, steps: int) -> float:
        """Wall seconds of one trial-step when all copies run `steps` steps at once."""
        start = time.perf_counter()
        for child in self.children:
            assert child.stdin is not None
            print(steps, file=child.stdin, flush=True)
        for child in self.children:
            self._answer(child)
        return (time.perf_counter() - start) / (steps * len(self.children))

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            child.communicate("")

    @staticmethod
    def _answer(child: subprocess.Popen[str]) -> str:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"a contender died with status {child.wait()}: {child.args}")
        return line.strip()


def contend(kind: str, width: int, density: float, threads: int, compiled: str) -> None:
    """The inside of a contender: build, warm up, say what it is, then run as many steps as each line says."""
    if kind == "plain":
        advance, said = plain_stepper(width, density, threads), "plain"
    elif kind == "matmul":
        advance, said = matmul_stepper(width), "matmul"
    else:
        advance, said = own_stepper(kind, width, density, compiled)
    for _ in range(3):
        advance()
    print(said, flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            advance()
        print("done", flush=True)


def plain_stepper(width: int, density: float, threads: int) -> Any:
    """A step of the yardstick. 0 threads: as many as torch takes by itself."""
    import plain
    import torch

    if threads:
        torch.set_num_threads(threads)
    step, _ = plain.make_step(width, DEPTH, density, BATCH, LENGTH)
    tokens = plain.batch_of(plain.corpus(), BATCH, LENGTH)
    return lambda: step(tokens)


def matmul_stepper(width: int) -> Any:
    """One bf16 product of two square matrices: what the machine can do at best."""
    import torch

    torch.set_num_threads(1)
    a, b = (torch.randn(width, width).bfloat16() for _ in range(2))
    return lambda: a @ b


def own_stepper(kind: str, width: int, density: float, compiled: str) -> tuple[Any, str]:
    """A step of the ordinary pack; `kind` is products and, after a colon, the precision. Also what it came to."""
    import torch

    from hptransfer.training.build import corpus_of, initial_state, table_of
    from hptransfer.training.optimizers import step_numbers
    from hptransfer.training.process import prepare_process
    from hptransfer.training.programs import program_for
    from hptransfer.training.settings import WorkerSettings
    from hptransfer.training.sparse import products_of

    products, _, precision = kind.partition(":")
    settings = WorkerSettings(device="cpu", products=products, compile=compiled)  # type: ignore[arg-type]
    device = prepare_process(settings)
    trial = the_trial(width, density, precision or "bf16")
    program = program_for(trial, settings, device, 1)
    program.load(0, initial_state(trial, table_of(trial), program.layout))
    batch = corpus_of(trial).batch(0, 0, BATCH, LENGTH)[None]
    numbers = torch.tensor([step_numbers(trial.training, 10)])
    return lambda: program.step(batch, numbers), products_of(table_of(trial), program.layout)


def the_trial(width: int, density: float, precision: str = "bf16") -> Any:
    """The trial both sides train; in bf16 unless told, as the calibration chooses on machines that have it."""
    from hptransfer.specs import DataSpec, TrainingSpec
    from hptransfer.trial import Trial

    training = TrainingSpec(precision=precision, batch_size=BATCH, sequence_length=LENGTH)  # type: ignore[arg-type]
    return Trial(data=DataSpec(), training=training, width=width, depth=DEPTH, density=density)


# --- the four questions ----------------------------------------------------------------------------------------------


def steps_table(size: Size) -> list[Row]:
    """A trial-step against the plain baseline, and `auto` against our own dense step."""
    rows = []
    for width in size.widths:
        with ExitStack() as stack:
            shared = {"dense": stack.enter_context(Contender("dense", width, SPARSEST, CORES, 1, size.compile))}
            shared["plain"] = stack.enter_context(Contender("plain", width, SPARSEST, 1, 0, size.compile))
            shared["plain, a process a core"] = stack.enter_context(
                Contender("plain", width, SPARSEST, CORES, 1, size.compile)
            )
            for density in size.densities:
                with Contender("auto", width, density, CORES, 1, size.compile) as auto:
                    took = interleave({**shared, "auto": auto}, size.rounds)
                rows += step_rows(width, density, auto.said, took)
                show(rows[-3:])
    return rows


def step_rows(width: int, density: float, products: str, took: dict[str, float]) -> list[Row]:
    """The rows of one size. A dense program costs the same at every density, and so does the plain baseline."""
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


def interleave(contenders: dict[str, Contender], rounds: int) -> dict[str, float]:
    """Median seconds of a trial-step of each, taking turns."""
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            took[name].append(contender.seconds(3))
    return {name: statistics.median(t) for name, t in took.items()}


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
    table = table_of(trial)
    hidden = {r.name for r in table if r.density < 1}
    layout = make_layout(tensor_shapes(table), hidden if products == "sparse" else ())
    state = initial_state(trial, table, layout)
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


def timed(command: Sequence[str]) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


# --- output ----------------------------------------------------------------------------------------------------------


def show(rows: Sequence[Row]) -> None:
    """Print rows as they come."""
    for r in rows:
        target = "" if r["target"] is None else f"  target {r['target']:g} {'met' if r['met'] else 'MISSED'}"
        print(
            f"{r['name']}: {r['ours']:.2f} against {r['baseline']:.2f} {r['unit']}, ×{r['ratio']:.2f}{target}",
            flush=True,
        )


def machine() -> Row:
    """What the numbers were measured on."""
    import torch

    from hptransfer.sparsity.kernel import load_kernel

    info = Path("/proc/cpuinfo")
    model = (
        [x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")][:1]
        if info.exists()
        else []
    )
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": CORES,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "kernel": load_kernel() is not None,
    }


def draw(rows: Sequence[Row], path: Path) -> None:
    """The break-even curve: dense over sparse time against density, one line a width."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, precision in zip(axes, ("fp32", "bf16"), strict=True):
        for width in sorted({r["width"] for r in rows}):
            line = [(r["density"], r["ratio"]) for r in rows if (r["width"], r["precision"]) == (width, precision)]
            axis.loglog(*zip(*line, strict=True), marker="o", base=2, label=f"d = {width}")
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set(title=f"Three products, {precision}", xlabel="density")
        axis.legend()
    axes[0].set_ylabel("dense time / sparse time")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure what was asked for, print it, and write it unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="break-even,memory,step,answer")
    parser.add_argument("--contender", nargs=5, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.contender:
        kind, width, density, threads, compiled = a.contender
        contend(kind, int(width), float(density), int(threads), compiled)
        return
    size = QUICK if a.quick else FULL
    parts = {"break-even": break_even, "memory": memory, "step": steps_table, "answer": answer}
    found = {name: parts[name](size) for name in a.only.split(",")}
    if a.quick:
        return
    OUTPUT.mkdir(parents=True, exist_ok=True)
    everything = {"machine": machine(), "rows": [r for rows in found.values() for r in rows]}
    (OUTPUT / "sparse.json").write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    if "break-even" in found:
        draw(found["break-even"], OUTPUT / "sparse.png")


if __name__ == "__main__":
    main()
