"""What acts on a loss only through some tensors."""

from __future__ import annotations

import torch

from hptransfer.scaling.check.bottleneck import reached_without


def test_what_has_no_other_way_to_the_loss_is_not_reached() -> None:
    x = torch.ones(3, requires_grad=True)
    through, around = x * 2, x * 3
    narrow = through.sum()
    loss = narrow * 2 + around.sum()
    reached = reached_without(loss, {narrow.grad_fn})
    assert through.grad_fn not in reached
    assert narrow.grad_fn not in reached
    assert around.grad_fn in reached


def test_where_nothing_is_cut_all_of_it_is_reached() -> None:
    x = torch.ones(3, requires_grad=True)
    middle = x.exp()
    loss = middle.sum()
    assert middle.grad_fn in reached_without(loss, set())
    assert reached_without(torch.ones(()), set()) == set()
