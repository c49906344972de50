"""Ways to train, each in processes of its own that take turns: what the step benchmarks time.

A contender is told by a line how many steps to run. The yardstick (`plain.py`) runs one process with torch's own
number of threads, and for fairness also one single-threaded process a core; ours runs one single-threaded process a
core. Time is wall time of a trial-step of the whole machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

from common import BATCH, DEPTH, LENGTH

TURN_SECONDS = 0.3


class Contender:
    """`processes` copies of one way to train, which work at the same time when told to."""

    def __init__(self, kind: str, width: int, density: float, processes: int, threads: int, compiled: str) -> None:
        what = [kind, str(width), repr(density), str(threads), compiled]
        self.children = [
            subprocess.Popen(
                [sys.executable, __file__, *what],
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

    from hptransfer.training.ask_task import batch_of
    from hptransfer.training.build import initial_state
    from hptransfer.training.process import prepare_process
    from hptransfer.training.program_cache import program_for
    from hptransfer.training.settings import WorkerSettings
    from hptransfer.training.sparse import products_of
    from hptransfer.training.step_numbers import step_numbers

    products, _, precision = kind.partition(":")
    settings = WorkerSettings(device="cpu", products=products, compile=compiled)  # type: ignore[arg-type]
    device = prepare_process(settings)
    trial = the_trial(width, density, precision or "bf16")
    program = program_for(trial, settings, device, 1)
    program.load(0, initial_state(trial, program.layout))
    batch = batch_of(trial, 0)[None]
    numbers = torch.tensor([list(step_numbers(trial.training, 10).values())])
    return lambda: program.step(batch, numbers), products_of(trial, program.layout)


def the_trial(width: int, density: float, precision: str = "bf16") -> Any:
    """The trial both sides train; in bf16 unless told, as the calibration chooses on machines that have it."""
    from hptransfer.study.pieces import DataSpec, TrainingSpec
    from hptransfer.study.trial import Trial

    training = TrainingSpec(precision=precision, batch_size=BATCH, sequence_length=LENGTH)  # type: ignore[arg-type]
    return Trial(data=DataSpec(), training=training, width=width, depth=DEPTH, density=density)


def interleave(contenders: dict[str, Contender], rounds: int) -> dict[str, float]:
    """Median seconds of a trial-step of each, taking turns of about TURN_SECONDS."""
    steps = {name: max(1, round(TURN_SECONDS / contender.seconds(1))) for name, contender in contenders.items()}
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            took[name].append(contender.seconds(steps[name]))
    return {name: statistics.median(t) for name, t in took.items()}


if __name__ == "__main__":
    _kind, _width, _density, _threads, _compiled = sys.argv[1:]
    contend(_kind, int(_width), float(_density), int(_threads), _compiled)
