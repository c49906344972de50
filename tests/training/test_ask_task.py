"""What the engine asks of a task: each answer is the task's own, and one that breaks the contract names its file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_trials import outcome_of, small_trial
from test_tasks import trial_of

from hptransfer.common.errors import BreachError
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import batch_of, batch_shape, chance_of, data_of, held_out_of
from hptransfer.training.flops import cost_of


def test_a_batch_is_that_of_the_task() -> None:
    trial = small_trial(seed=3)
    assert torch.equal(batch_of(trial, 5), data_of(trial).batch(3, 5, 4, 16))
    assert batch_shape(batch_of(trial, 5)) == [([4, 17], "torch.int64")]
    assert batch_shape({"x": torch.zeros(2, 3), "y": (torch.zeros(2),)}) == [
        ([2, 3], "torch.float32"),
        ([2], "torch.float32"),
    ]


def first_batch(trial: Trial) -> Any:
    return batch_of(trial, 0)


def held_out(trial: Trial) -> Any:
    return held_out_of(trial, data_of(trial))


def chance(trial: Trial) -> float:
    return chance_of(trial.task, data_of(trial))


@pytest.mark.parametrize(
    ("task", "ask", "rule"),
    [
        ("Unsized", cost_of, "`model_arguments` are whole numbers by name; found {'features': 'six'"),
        ("Free", cost_of, "`tokens` is a whole number above 0; found 0"),
        ("Lopsided", first_batch, "`batch` gives tensors .* whose first dimension counts examples"),
        ("Growing", outcome_of, r"`batch` gives batches of one size; at step 0 it gave .*8.*; found .*9.* at step 3"),
        ("Unscored", held_out, "`held_out` is a list of batches, at least one"),
        ("Untold", chance, "`chance` is a number, NaN where there is none"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_an_answer_that_breaks_the_contract_names_its_file_and_the_rule(task: str, ask: Any, rule: str) -> None:
    with pytest.raises(BreachError, match=rf"users_tasks:{task}, from .*users_tasks\.py, .*{rule}"):
        ask(trial_of(task))
