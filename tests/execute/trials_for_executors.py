"""Tiny trials on the real training path, and the shortest way to sweep them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hptransfer.execute.base import Executor
from hptransfer.execute.pack import Pack
from hptransfer.execute.runner import Row, Runner
from hptransfer.store.store import Store
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.study.trial import Phase, Trial
from hptransfer.training.settings import WorkerSettings

HERE = str(Path(__file__).parent)
SETTINGS = WorkerSettings(device="cpu", compile="never", sys_path=(HERE,))
CORPUS = DataSpec(source="synthetic", vocab_size=16)
BUDGET = TrainingSpec(steps=4, batch_size=2, sequence_length=8, eval_tokens=64, precision="fp32")


def a_trial(seed: int = 0, *, lr: float = 2.0**-7, init_std: float = 0.05, width: int = 16, **options: object) -> Trial:
    """A trial of `behaviours:build`; further options say how it misbehaves."""
    return Trial(
        model=ModelSpec(factory="behaviours:build", options=options),
        data=CORPUS,
        training=BUDGET,
        rule="sp",
        base_width=16,
        width=width,
        base=BaseHPs(lr=lr, init_std=init_std),
        seed=seed,
    )


def one_pack(trials: Sequence[Trial], phase: Phase) -> list[Pack]:
    """Everything in one pack, for faults that a pack's trials share."""
    return [Pack(phase, tuple(trials))]


def sweep(
    folder: Path, executor: Callable[[], Executor], trials: Sequence[Trial], **options: object
) -> tuple[dict[str, Row], Runner]:
    """Run trials into the store of study `s`; options are the runner's."""
    store = Store.open(str(folder / "s"), "s")
    with store.lock(), Runner(store, executor, (), "s", **options) as runner:  # type: ignore[arg-type]
        return runner.run(trials, "grid"), runner
