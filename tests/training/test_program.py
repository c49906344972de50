"""A program's own promises: what a slot holds, and the gradient that a mask hides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_trials import EAGER, small_trial

from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.scaling.parametrize import parametrize_target
from hptransfer.tasks.base import loss_of
from hptransfer.tasks.language import Language
from hptransfer.training.ask_task import batch_of
from hptransfer.training.build import initial_state, target_of
from hptransfer.training.program import Program
from hptransfer.training.program_cache import program_for
from hptransfer.training.settings import WorkerSettings

CPU = torch.device("cpu")
TRIAL = small_trial()


pytestmark = pytest.mark.usefixtures("no_programs_left")


def filled(settings: WorkerSettings, stack: int = 1) -> Program:
    program = program_for(TRIAL, settings, CPU, stack)
    tensors = initial_state(TRIAL, program.layout)
    for slot in range(stack):
        program.load(slot, tensors)
    return program


@pytest.mark.parametrize(("parts", "stack"), [(1, 1), (2, 1), (1, 2)])
def test_the_dense_gradient_is_that_of_the_model_without_its_mask(parts: int, stack: int) -> None:
    made = parametrize_target(target_of(TRIAL), TRIAL.seed)
    for mask in masked_parameters(made.model).values():
        mask.fill_(True)
    batch = batch_of(TRIAL, 7)
    loss_of(Language())(made.model, batch).backward()
    found = filled(replace(EAGER, micro_batches=parts), stack).dense_gradient(stack - 1, batch)
    for name, parameter in made.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-4)
    hidden = found["blocks.0.ffn.up.weight"][~torch.isfinite(made.model.blocks[0].ffn.up.weight)]
    assert hidden.numel() == 0
    assert found["blocks.0.ffn.up.weight"].count_nonzero() == 4 * 32 * 32


def test_masks_are_part_of_the_state_where_they_move() -> None:
    program = filled(EAGER)
    still, moving = program.state(0), program.state(0, with_masks=True)
    assert set(moving) - set(still) == {f"mask.{i}" for i in range(len(program.masks))}
    assert moving["mask.0"].dtype == torch.bool
