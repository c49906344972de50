"""One step as a pure function, on numbers one can check by hand: the clip, the masks, and trials that have ended."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hptransfer.training.layout import TensorShape, make_layout
from hptransfer.training.optimizers.parts import parts_of
from hptransfer.training.step import CLIP_EPS, make_micro_step, make_step

LAYOUT = make_layout([TensorShape("w", (2, 2), 2, masked=True), TensorShape("gain", (1,), 1, masked=False)])
NUMBERS = ("lr_factor", "clip", "0.momentum")
GRADIENTS = (torch.tensor([[3.0, 100.0], [0.0, 4.0]]), torch.tensor([[12.0]]))


def tensors(**changes: Any) -> dict[str, Any]:
    """A matrix with a masked corner and one gain, SGD without momentum, LR 0.5 of which the schedule gives half."""
    column = (torch.full((2, 1), 0.5), torch.zeros(2, 1), torch.zeros(2, 1))
    single = (torch.full((1, 1), 0.5), torch.zeros(1, 1), torch.zeros(1, 1))
    given = {
        "sheets": (torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.ones(1, 1)),
        "momenta": ((torch.zeros(2, 2),), (torch.zeros(1, 1),)),
        "masks": (torch.tensor([[True, False], [True, True]]),),
        "hyper": (column, single),
        "numbers": torch.tensor([0.5, torch.inf, 0.0]),
        "ceiling": torch.tensor(10.0),
        "alive": torch.tensor(True),
    }
    return given | changes


def gradient(t: dict[str, Any]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    return t.get("given_loss", torch.tensor(2.0)), GRADIENTS


STEP = make_step(gradient, LAYOUT, parts_of("sgd"), NUMBERS)


def test_a_weight_moves_by_its_lr_times_the_schedule_and_a_masked_one_does_not() -> None:
    new = STEP(tensors())
    assert new["sheets"][0].tolist() == [[1 - 0.25 * 3, 0.0], [1.0, 1 - 0.25 * 4]]
    assert new["sheets"][1].tolist() == [[1 - 0.25 * 12]]
    assert float(new["loss"]) == 2.0


def test_the_clip_is_of_the_norm_over_all_sheets_without_what_masks_hide() -> None:
    """√(3² + 4² + 12²) = 13."""
    new = STEP(tensors(numbers=torch.tensor([0.5, 1.3, 0.0])))
    assert new["sheets"][1].item() == pytest.approx(1 - 0.25 * 12 * 1.3 / (13 + CLIP_EPS))


def test_a_row_without_lr_moves_neither_weight_nor_momentum() -> None:
    still = (torch.zeros(1, 1),) * 3
    new = STEP(tensors(hyper=(tensors()["hyper"][0], still)))
    assert new["sheets"][1].item() == 1.0
    assert new["momenta"][1][0].item() == 0.0


@pytest.mark.parametrize("changes", [{"alive": torch.tensor(False)}, {"ceiling": torch.tensor(1.5)}])
def test_a_trial_that_has_ended_keeps_its_weights(changes: dict[str, Any]) -> None:
    new = STEP(tensors(**changes))
    assert not new["alive"]
    assert torch.equal(new["sheets"][0], tensors()["sheets"][0])


def test_micro_batches_come_to_the_whole_step() -> None:
    accumulate, finish = make_micro_step(gradient, LAYOUT, parts_of("sgd"), NUMBERS, 4)
    total: dict[str, Any] = {"loss": torch.tensor(0.0), "gradients": tuple(map(torch.zeros_like, GRADIENTS))}
    for _ in range(4):
        total = accumulate(total)
    found, wanted = finish(tensors(**total)), STEP(tensors())
    assert all(map(torch.equal, found["sheets"], wanted["sheets"]))
    assert float(total["loss"]) == 2.0
