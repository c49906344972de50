"""What a run of the search came to, and what of it the sampler hears."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from hptransfer.drive.load_study import validate_study
from hptransfer.execute.pruning import Pruning
from hptransfer.study.trial import Phase, Trial
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.tried import Tried, diverged_everywhere, run_points, spent_flops
from hptransfer.trials.settled import Settled

STUDY = validate_study(
    {"name": "s", "data": {"source": "synthetic", "vocab_size": 16}, "training": {"steps": 10}, "tune": {}}
)
PROXY = Proxy(Settled(STUDY, STUDY.base.hps, "fp32", ""))
LN_16 = math.log(16)


class Told:
    """Rows by LR in place of a runner's; no row is a trial that could not be run."""

    def __init__(self, rows: Mapping[float, dict[str, Any]]) -> None:
        self.rows, self.asked = rows, 0

    def run(
        self, trials: Sequence[Trial], phase: Phase, pruning: Pruning | None = None
    ) -> dict[str, Mapping[str, Any]]:
        self.asked += len(trials)
        return {trial.id: self.rows[trial.base.lr] for trial in trials if trial.base.lr in self.rows}


def row(status: str, loss: float, step: int | None = None) -> dict[str, Any]:
    return {"status": status, "loss": loss, "diverged_step": step, "flops_dense": 100.0}


def tried(rows: Mapping[float, dict[str, Any]], lrs: Sequence[float]) -> list[Tried]:
    return run_points(PROXY, Told(rows), {i: {"lr": lr} for i, lr in enumerate(lrs)}, seed=0)


@pytest.mark.parametrize(
    ("found", "status", "loss", "told", "steps"),
    [
        (row("ok", 1.5), "ok", 1.5, 1.5, 10),
        (row("ok", 9.0), "ok", 9.0, LN_16, 10),  # worse than a guess: no better than a run that diverged
        (row("diverged", math.nan, 3), "diverged", math.nan, LN_16, 4),
        (row("pruned", math.nan), "pruned", math.nan, None, 10),
        (None, "failed", math.nan, None, 0),
    ],
)
def test_each_end_of_a_run_is_told_in_its_own_way(
    found: dict[str, Any] | None, status: str, loss: float, told: float | None, steps: int
) -> None:
    (run,) = tried({0.01: found} if found else {}, [0.01])
    assert (run.status, run.steps) == (status, steps)
    assert run.loss == pytest.approx(loss, nan_ok=True)
    assert run.told == (None if told is None else pytest.approx(told))


def test_equal_points_are_run_once_and_paid_for_once() -> None:
    runner = Told({0.01: row("ok", 1.0), 0.02: row("diverged", math.nan, 4)})
    runs = run_points(PROXY, runner, {2: {"lr": 0.01}, 0: {"lr": 0.02}, 1: {"lr": 0.01}}, seed=0)
    assert [run.number for run in runs] == [0, 1, 2]
    assert runner.asked == 2
    assert spent_flops(runs) == pytest.approx(100.0 + 100.0 * 5 / 10)


def test_a_search_in_which_everything_diverged_says_what_to_lower() -> None:
    runs = tried({lr: row("diverged", math.nan, 0) for lr in (0.1, 0.2)}, [0.1, 0.2])
    assert "at every lr from 0.1 to 0.2; lower tune.space.lr" in str(diverged_everywhere(runs))
    assert "none of the 1 proxy trials could be run" in str(diverged_everywhere(tried({}, [0.1])))
