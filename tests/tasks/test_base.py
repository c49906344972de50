"""The loss of a task for a loop of one's own is the task's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hptransfer.tasks.base import loss_of
from hptransfer.tasks.language import Language


def test_it_is_what_the_task_makes_of_the_models_output() -> None:
    class Certain(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return 100.0 * torch.nn.functional.one_hot((tokens + 1) % 4, 4)

    batch = torch.tensor([[0, 1, 2, 3, 0]])
    loss = loss_of(Language())
    assert float(loss(Certain(), batch)) == 0.0
    assert float(loss(Certain(), batch.flip(1))) > 50.0
