"""The MLP predicts each token from the one before it alone."""

from __future__ import annotations

import torch

from hptransfer.tasks.models.mlp import MLP


def test_a_token_s_logits_depend_on_that_token_alone() -> None:
    model = MLP(width=8, vocab_size=5)
    first, second = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 2, 0]])
    assert torch.equal(model(first)[0, 1], model(second)[0, 1])
    assert not torch.equal(model(first)[0, 0], model(second)[0, 0])


def test_parameter_count_by_hand() -> None:
    count = sum(p.numel() for p in MLP(width=8, depth=3, vocab_size=5, expansion=4).parameters())
    assert count == 5 * 8 + 3 * (8 + 2 * 4 * 8 * 8) + 8 + 5 * 8
