"""Proposals depend on the study file and on what was told, and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.drive.load_study import validate_study
from hptransfer.execute.pruning import PastRun
from hptransfer.study.study import Study
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.samplers import Search, startup_trials
from hptransfer.trials.settled import Settled


def search(**tune: Any) -> Search:
    told = {"trials": 8, "space": {"lr": {"low": 0.001, "high": 0.1}}, **tune}
    study: Study = validate_study({"name": "s", "data": {"source": "synthetic"}, "tune": told})
    return Search(Proxy(Settled(study, study.base.hps, "fp32", "")))


def play(asked: Search, batches: int, size: int = 2) -> list[dict[str, float]]:
    """Ask, and tell each proposal a loss that its LR alone decides."""
    found = []
    for _ in range(batches):
        for number, hps in asked.ask(size).items():
            asked.tell(number, PastRun(told=abs(hps["lr"] - 0.02)))
            found.append(hps)
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "grid"])
def test_the_same_telling_leads_to_the_same_asking(sampler: str) -> None:
    first, again = play(search(sampler=sampler), 4), play(search(sampler=sampler), 4)
    assert first == again
    assert all(0.001 <= hps["lr"] <= 0.1 for hps in first)
    assert len({hps["lr"] for hps in first}) == 8


def test_a_grid_is_the_whole_mesh_within_the_budget_shuffled() -> None:
    asked = search(sampler="grid", space={"lr": {"low": 0.001, "high": 0.1}, "init_std": {"low": 0.01, "high": 0.1}})
    assert asked.planned == 4  # 2 × 2 is the largest square within 8
    lrs = {round(hps["lr"], 6) for hps in asked.ask(4).values()}
    assert lrs == {0.001, 0.1}
    with pytest.raises(InputError, match="too few trials for a grid"):
        search(sampler="grid", trials=1)


def test_nothing_is_asked_while_something_is_open_and_a_failed_run_is_told_too() -> None:
    asked = search()
    (number,) = asked.ask(1)
    with pytest.raises(ValueError, match="tell every asked trial"):
        asked.ask(1)
    asked.tell(number, PastRun())
    assert len(asked.ask(2)) == 2


@pytest.mark.parametrize(("trials", "drawn"), [(1, 4), (20, 5), (100, 10)])
def test_a_quarter_of_the_search_is_drawn_at_random(trials: int, drawn: int) -> None:
    assert startup_trials(trials) == drawn
