"""How trials are grouped: one shape a pack, spread over the workers, the longest first."""

from __future__ import annotations

import pytest
from trials_for_executors import a_trial

from hptransfer.execute.packing import MOST_ON_CPU, packs_of


def test_packs_hold_one_shape_and_come_longest_first() -> None:
    packs = packs_of([a_trial(s, width=w) for s in range(3) for w in (16, 32)], "grid", most=2)
    assert [(p.trials[0].width, len(p.trials)) for p in packs] == [(32, 2), (32, 1), (16, 2), (16, 1)]


@pytest.mark.parametrize(("trials", "workers", "sizes"), [(3, 4, [1, 1, 1]), (8, 2, [2, 2, 2, 2]), (40, 1, [8] * 5)])
def test_few_trials_are_spread_over_the_workers(trials: int, workers: int, sizes: list[int]) -> None:
    packs = packs_of([a_trial(seed) for seed in range(trials)], "grid", workers=workers)
    assert [len(p.trials) for p in packs] == sizes
    assert max(sizes) <= MOST_ON_CPU
    assert [t.seed for p in packs for t in p.trials] == list(range(trials))


@pytest.mark.parametrize(("trials", "workers", "sizes"), [(36, 1, [36]), (36, 2, [18, 18]), (300, 1, [128, 128, 44])])
def test_a_worker_that_stacks_gets_a_stackful(trials: int, workers: int, sizes: list[int]) -> None:
    packs = packs_of([a_trial(seed) for seed in range(trials)], "grid", workers=workers, stacked=True)
    assert [len(p.trials) for p in packs] == sizes


def test_a_packs_cost_is_the_flops_of_its_trials() -> None:
    one, two = packs_of([a_trial(s) for s in range(3)], "grid", most=2)
    assert one.cost == 2 * two.cost > 0
