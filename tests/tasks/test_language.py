"""The task `language`: windows of tokens in, cross-entropy of the next token out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.common.seams import TASKS
from hptransfer.study.pieces import DataSpec, TrainingSpec
from hptransfer.tasks.base import loss_of

TASK = TASKS.get("language")
DATA = TASK.open(DataSpec(source="synthetic", max_bytes=20_000))
TRAINING = TrainingSpec(batch_size=3, sequence_length=8, eval_tokens=48)


def test_a_batch_is_windows_with_the_token_after_them() -> None:
    batch = TASK.batch(DATA, 1, 2, TRAINING)
    assert batch.shape == (3, 9)
    assert torch.equal(batch, DATA.batch(1, 2, 3, 8))
    (tokens,) = TASK.inputs(batch)
    assert torch.equal(tokens, batch[:, :-1])
    assert [b.shape for b in TASK.held_out(DATA, TRAINING)] == [(3, 9), (3, 9)]
    assert TASK.tokens(TRAINING) == 24


def test_a_uniform_guess_has_the_loss_of_chance() -> None:
    batch = TASK.batch(DATA, 0, 0, TRAINING)
    assert (
        float(TASK.loss(torch.zeros(3, 8, 64), batch))
        == pytest.approx(TASK.chance(DATA))
        == pytest.approx(math.log(64))
    )


def test_a_sure_right_guess_has_none_whatever_its_precision() -> None:
    batch = TASK.batch(DATA, 0, 0, TRAINING)
    sure = 100 * torch.nn.functional.one_hot(batch[:, 1:], 64).bfloat16()
    loss = TASK.loss(sure, batch)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(0, abs=1e-6)


def test_the_model_gets_vocabulary_and_context() -> None:
    assert TASK.model_arguments(DATA, TRAINING) == {"vocab_size": 64, "context": 8}


@pytest.mark.parametrize(("shape", "found"), [((3, 64), r"\(3, 64\)"), ((3, 9, 64), r"\(3, 9, 64\)")])
def test_an_output_of_another_form_is_refused(shape: tuple[int, ...], found: str) -> None:
    batch = TASK.batch(DATA, 0, 0, TRAINING)
    with pytest.raises(InputError, match=rf"Linear gave {found}.*\(3, 8, 64\)"):
        TASK.check_output(nn.Linear(1, 1), torch.zeros(shape), batch, DATA)


def test_a_model_s_loss_is_the_task_s_of_what_it_answers() -> None:
    batch = TASK.batch(DATA, 0, 0, TRAINING)
    model = nn.Embedding(64, 64)
    assert torch.equal(loss_of(TASK)(model, batch), TASK.loss(model(batch[:, :-1]), batch))
