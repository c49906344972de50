"""What each operator of a forward pass tells: factors on scores, which side asks, what is joined to what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.scaling.trace.follow import Follower, Scores
from hptransfer.scaling.trace.trails import Trail, origins_of

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class OneHead(nn.Module):
    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 8, bias=False) for _ in range(3))
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(self.q(x), self.k(x), self.v(x))


def followed(attend: Attend) -> Follower:
    model = OneHead(attend)
    with Follower(model) as follower:
        model(torch.zeros(2, 5, 4))
    return follower


def scores_of(attend: Attend) -> Scores:
    (scores,) = followed(attend).scores
    return scores


@pytest.mark.parametrize(
    ("attend", "scale"),
    [
        (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), 8**-0.5),
        (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.125), 0.125),
        (lambda q, k, v: F.scaled_dot_product_attention(q / 2, k * 3, v), 1.5 * 8**-0.5),
        (lambda q, k, v: (q @ k.transpose(1, 2) / 8).softmax(-1) @ v, 1 / 8),
        (lambda q, k, v: torch.einsum("bqd,bkd->bqk", q * 0.25, k).softmax(-1) @ v, 0.25),
        (lambda q, k, v: torch.baddbmm(torch.zeros(5, 5), q, k.transpose(1, 2)).softmax(-1) @ v, 1.0),
        (lambda q, k, v: (torch.tanh(q @ k.transpose(1, 2)) * 2).softmax(-1) @ v, None),
    ],
)
def test_the_models_own_scale_of_its_logits(attend: Attend, scale: float | None) -> None:
    assert scores_of(attend).scale == (None if scale is None else pytest.approx(scale))


@pytest.mark.parametrize(
    "attend",
    [
        lambda q, k, v: (q @ k.transpose(1, 2)).softmax(-1) @ v,
        lambda q, k, v: (k @ q.transpose(1, 2)).softmax(-2).transpose(1, 2) @ v,
        lambda q, k, v: (k @ q.transpose(1, 2)).transpose(1, 2).softmax(-1) @ v,
    ],
)
def test_queries_are_the_side_over_whose_partners_the_softmax_goes(attend: Attend) -> None:
    scores = scores_of(attend)
    assert (list(origins_of(scores.queries)), list(origins_of(scores.keys)), scores.size) == ([0], [1], 8)


def test_a_softmax_over_no_product_is_no_attention() -> None:
    assert followed(lambda q, k, v: q.softmax(-1) * k + v).scores == []


@pytest.mark.parametrize(
    ("join", "makers"),
    [
        (lambda q, k, v: torch.stack([q, q]).mean(0), [0]),
        (lambda q, k, v: torch.stack([q, k]).sum(0, keepdim=True)[0], []),  # other matrices at other places
        (lambda q, k, v: torch.zeros_like(v).index_add(1, torch.arange(5), q), [0]),
        (lambda q, k, v: v.index_add_(1, torch.arange(5), q), [2, 0]),
        (lambda q, k, v: q.sum(-1), []),
        (lambda q, k, v: q.sum(), []),
        (lambda q, k, v: v.transpose(1, 2).index_add(2, torch.arange(5), q.transpose(1, 2)), []),
    ],
)
def test_a_sum_over_places_keeps_the_features(join: Attend, makers: list[int]) -> None:
    model = OneHead(join)
    with Follower(model) as follower:
        out = model(torch.zeros(2, 5, 4))
    trail = follower.known[id(out)][1]
    assert isinstance(trail, Trail)
    assert list(origins_of(trail)) == makers


def test_a_rotation_of_queries_keeps_what_made_them() -> None:
    def rotated(x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * torch.ones(8) + torch.cat([-b, a], -1) * torch.ones(8)

    scores = scores_of(lambda q, k, v: F.scaled_dot_product_attention(rotated(q), rotated(k), v))
    assert origins_of(scores.queries) == {0: list(range(8))}
    assert scores.scale == pytest.approx(8**-0.5)
