"""A runner whose losses come from a known surface, so that a search can be judged in milliseconds; and `outside_axes`
importable by name, as a module beside a user's study file is."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hptransfer.study.study import Study
from hptransfer.study.trial import Trial

sys.path.insert(0, str(Path(__file__).parent))

Surface = Callable[[Trial], float]


class MemoryStore:
    """Keeps what is written, as JSON would hold it."""

    def __init__(self, rows: Mapping[str, Any]) -> None:
        self.files: dict[str, Any] = {}
        self.rows = rows

    def ids(self) -> set[str]:
        return set(self.rows)

    def read_json(self, name: str) -> Any:
        return self.files.get(name)

    def write_json(self, name: str, value: object) -> None:
        self.files[name] = json.loads(json.dumps(value))


class SurfaceRunner:
    """Runs trials on `surface(trial) -> loss`; a NaN is a divergence, a trial named in `broken` never runs.

    `rows` plays the store: what is there is not evaluated again. `stop_after` evaluations it raises
    KeyboardInterrupt, as a killed driver would leave it.
    """

    def __init__(self, surface: Surface, rows: dict[str, dict[str, Any]] | None = None, stop_after: int | None = None):
        self.surface, self.rows, self.stop_after = surface, {} if rows is None else rows, stop_after
        self.store = MemoryStore(self.rows)
        self.asked: list[list[Trial]] = []
        self.evaluated = 0
        self.broken: set[int] = set()

    def run(self, trials: Sequence[Trial], phase: str, pruning: object = None) -> Mapping[str, Mapping[str, Any]]:
        assert phase in ("tune", "direct")
        self.asked.append(list(trials))
        for trial in trials:
            if trial.id in self.rows:
                continue
            if self.evaluated == self.stop_after:
                raise KeyboardInterrupt
            self.evaluated += 1
            if self.evaluated not in self.broken:
                self.rows[trial.id] = self.row(trial)
        return {t.id: self.rows[t.id] for t in trials if t.id in self.rows}

    def row(self, trial: Trial) -> dict[str, Any]:
        loss = self.surface(trial)
        return {
            "status": "diverged" if math.isnan(loss) else "ok",
            "loss": loss,
            "diverged_step": 0 if math.isnan(loss) else None,
            "flops_dense": 1000.0 * trial.width,
            "code_version": "1.0",
            "versions": json.dumps({"torch": "2"}),
        }

    def expect(self, planned: int) -> None:
        self.planned = planned

    @property
    def proposed(self) -> list[list[dict[str, float]]]:
        """The base HPs of every batch."""
        return [[t.base.model_dump() for t in batch] for batch in self.asked]


def bowl(trial: Trial) -> float:
    """2 nats at lr 2^-7 and init 2^-4, 0.05 more an octave squared of lr, 0.02 of init; diverges from lr 2^-4 on.

    The seed moves the loss by up to a hundredth of a nat.
    """
    octaves = math.log2(trial.base.lr) + 7
    if octaves >= 3:
        return math.nan
    wobble = 0.01 * math.sin(12.9898 * (trial.seed % 1000) + 78.233 * octaves)
    return 2 + 0.05 * octaves**2 + 0.02 * (math.log2(trial.base.init_std) + 4) ** 2 + wobble


@pytest.fixture
def surface_runner() -> type[SurfaceRunner]:
    return SurfaceRunner


@pytest.fixture
def bowl_surface() -> Surface:
    return bowl


@pytest.fixture
def make_study() -> Callable[..., Study]:
    """A study on the synthetic corpus (64 tokens) whose search is given by keywords."""

    def make(space: dict[str, Any] | None = None, **changes: Any) -> Study:
        tune = {"trials": 24, "batch": 4, "finalists": 3, "finalist_seeds": 3} | changes.pop("tune", {})
        tune["space"] = space or {"lr": {"low": 2.0**-10, "high": 2.0**-3}}
        tree = {
            "name": "bowl",
            "data": {"source": "synthetic", "max_bytes": 10_000},
            "training": {"steps": 4, "batch_size": 2, "sequence_length": 8, "eval_tokens": 64},
            "base": {"width": 32, "init_std": 2.0**-4},
            "grid": {"widths": [32, 64], "seeds": [0, 1, 2]},
            "tune": tune,
        }
        return Study.model_validate(tree | changes)

    return make
