"""A batch is cut into micro-batches where memory asks for it, and the numbers stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_trials import EAGER, outcome_of, small_trial

from hptransfer.common.errors import OutOfMemoryError
from hptransfer.study.pieces import ModelSpec
from hptransfer.study.trial import Trial
from hptransfer.training import memory
from hptransfer.training.flops import TrialCost, cost_of
from hptransfer.training.memory import micro_batches, micro_batches_for, room_for_a_trial
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs, program_for
from hptransfer.training.settings import WorkerSettings

CPU = torch.device("cpu")


def cost(state: int, sparse: int, activations: int) -> TrialCost:
    return TrialCost(0, 0, 0.0, 0.0, 0, state, sparse, activations)


@given(st.integers(1, 600), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 5000), st.integers(1, 3000))
def test_a_batch_is_cut_into_the_fewest_equal_parts_that_fit(size, state, sparse, activations, room):
    weighed = cost(max(state, sparse), sparse, activations)
    parts = micro_batches_for(weighed, size, room)
    assert size % parts == 0
    smallest = weighed.memory_bytes(size, sparse=True)
    held_sparse = weighed.memory_bytes(size) > room
    if smallest <= room:
        assert weighed.memory_bytes(parts, sparse=held_sparse) <= room
        fewer = [n for n in range(1, parts) if size % n == 0]
        assert all(weighed.memory_bytes(n, sparse=held_sparse) > room for n in fewer)
    else:
        assert parts == size


@pytest.mark.parametrize("settings", [EAGER, replace(EAGER, stack=2), replace(EAGER, products="sparse")])
def test_micro_batches_come_to_the_numbers_of_the_batch(settings: WorkerSettings) -> None:
    budget = {"steps": 30, "optimizer": "sgd", "clip": 0.6}  # Adam would forgive a wrong factor on the gradient
    trials = [small_trial(0.05, training=budget), small_trial(0.2, training=budget)]
    whole = list(train_pack(trials, settings))
    for parts in (2, 4):
        for a, b in zip(whole, train_pack(trials, replace(settings, micro_batches=parts)), strict=True):
            assert b.loss == pytest.approx(a.loss, abs=2e-5)
            assert [p.train_loss for p in b.curve] == pytest.approx([p.train_loss for p in a.curve], abs=2e-5)
            assert b.products == a.products
            assert b.note == f"{parts} micro-batches per step, for memory"
    forget_programs()


@pytest.mark.slow
def test_compiled_micro_batches_come_to_them_too(tmp_path: Path) -> None:
    compiled = replace(EAGER, compile="always", cache_dir=str(tmp_path))
    mlp = ModelSpec(factory="mlp")  # quicker to compile than a GPT
    trials = [small_trial(model=mlp), small_trial(1e6, model=mlp), small_trial(2.0**-6, rule="mup", seed=1, model=mlp)]
    whole = list(train_pack(trials, compiled))
    for a, b in zip(whole, train_pack(trials, replace(compiled, micro_batches=2)), strict=True):
        assert (b.status, b.diverged_step) == (a.status, a.diverged_step)
        assert b.loss == pytest.approx(a.loss, abs=2e-5, nan_ok=True)
    forget_programs()


def test_only_a_part_of_the_batch_is_held() -> None:
    whole, parts = (program_for(small_trial(), replace(EAGER, micro_batches=n), CPU, 1) for n in (1, 4))
    assert whole.batch.shape == (1, 4, 17)
    assert parts.batch.shape == (1, 1, 17)
    forget_programs()


def test_a_trial_that_fits_is_not_cut() -> None:
    assert micro_batches(small_trial(), EAGER, CPU) == 1


def test_a_trial_that_does_not_fit_is_cut_by_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = small_trial(training={"batch_size": 64})
    needed = cost_of(trial)
    half = (needed.state_bytes + needed.activation_bytes // 2 + 1) / memory.MEMORY_SHARE
    monkeypatch.setattr(memory, "workers_here", lambda settings: 1)
    monkeypatch.setattr(memory, "memory_of", lambda device: half)
    assert micro_batches(trial, EAGER, CPU) == 2
    assert outcome_of(trial).note == "2 micro-batches per step, for memory"
    forget_programs()


def test_a_container_s_limit_is_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMIT_FILES", (limit,))
    physical = memory.memory_of(CPU)
    for text, expected in (("1000000\n", 1_000_000), ("max\n", physical), (str(2**62), physical)):
        limit.write_text(text)
        assert memory.memory_of(CPU) == expected


def test_workers_of_a_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = room_for_a_trial(EAGER, CPU)
    monkeypatch.setattr(memory, "workers_here", lambda settings: 8)
    shared = memory.MEMORY_SHARE * memory.memory_of(CPU) / 8
    assert room_for_a_trial(EAGER, CPU) == int(shared) <= alone


def theirs(name: str, **changes: Any) -> Trial:
    return small_trial(model=ModelSpec(factory=f"users_models:{name}"), **changes)


def test_a_trial_that_runs_out_of_memory_is_tried_in_smaller_parts_and_its_like_start_there() -> None:
    short, other = train_pack([theirs("Large"), theirs("Large", seed=1)], EAGER)
    assert short.note == other.note == "4 micro-batches per step, for memory"
    assert short.loss == pytest.approx(outcome_of(theirs("Plain")).loss, abs=2e-5)
    assert micro_batches(theirs("Large"), EAGER, CPU) == 4
    forget_programs()


def test_where_one_sequence_does_not_fit_it_is_said() -> None:
    with pytest.raises(OutOfMemoryError, match="out of memory"):
        outcome_of(theirs("Larger", training={"batch_size": 6}))
    assert micro_batches(theirs("Larger", training={"batch_size": 6}), EAGER, CPU) == 6
