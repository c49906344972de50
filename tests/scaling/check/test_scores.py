"""What goes into a softmax is shown, and attention that is written out for it computes what torch's does."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.scaling.check.scores import ShowScores, unmasked

DRAW = torch.Generator().manual_seed(0)
Q, K, V = (torch.randn(2, 4, 5, 8, generator=DRAW) for _ in range(3))
MASK = torch.ones(5, 5, dtype=torch.bool).tril(-1)  # the first place may look nowhere


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": MASK},
        {"attn_mask": torch.randn(5, 5, generator=DRAW)},
        {"enable_gqa": True},
    ],
)
def test_it_computes_what_torchs_attention_does_and_shows_the_scores(options: dict[str, Any]) -> None:
    keys, values = (K[:, :2], V[:, :2]) if "enable_gqa" in options else (K, V)
    seen: list[Tensor] = []
    with ShowScores(seen.append):
        shown = F.scaled_dot_product_attention(Q, keys, values, **options)
    assert torch.allclose(shown, F.scaled_dot_product_attention(Q, keys, values, **options), atol=1e-6)
    (scores,) = seen
    wide = keys.repeat_interleave(4 // keys.shape[1], 1)
    assert torch.allclose(scores, Q @ wide.transpose(-2, -1) * options.get("scale", 8**-0.5), atol=1e-6)


@pytest.mark.parametrize("softmax", [F.softmax, torch.softmax, lambda x, dim: x.softmax(dim)])
def test_every_way_to_write_a_softmax_is_seen(softmax: Any) -> None:
    seen: list[Tensor] = []
    with ShowScores(seen.append):
        shown = softmax(Q, -1)
    assert torch.equal(shown, torch.softmax(Q, -1))
    assert len(seen) == 1
    assert seen[0] is Q


@pytest.mark.parametrize("weights", [True, False])
def test_torchs_own_module_is_looked_into(weights: bool) -> None:
    attention = nn.MultiheadAttention(16, 2, batch_first=True)
    x = torch.randn(2, 5, 16, generator=DRAW)
    seen: list[Tensor] = []
    with ShowScores(seen.append):
        out = attention(x, x, x, need_weights=weights)[0]
    assert torch.allclose(out, attention(x, x, x, need_weights=weights)[0], atol=1e-6)
    assert len(seen) == 1
    assert seen[0].numel() == 2 * 2 * 5 * 5


def test_outside_of_it_nothing_is_seen_and_nothing_stays_changed() -> None:
    plain, softmax = F.scaled_dot_product_attention, F.softmax
    seen: list[Tensor] = []
    with ShowScores(seen.append):
        nn.MultiheadAttention(16, 2)(*[torch.randn(5, 16)] * 3)
    seen.clear()
    F.softmax(F.scaled_dot_product_attention(Q, K, V), -1)
    assert seen == []
    assert (F.scaled_dot_product_attention, F.softmax) == (plain, softmax)


def test_masked_scores_count_as_nothing_however_they_are_written() -> None:
    scores = torch.tensor([1.5, -torch.inf, torch.finfo(torch.float32).min, -1e9, -20.0])
    assert unmasked(scores).tolist() == [1.5, 0.0, 0.0, 0.0, -20.0]


def test_the_size_of_scores_is_that_of_what_is_learned_of_them() -> None:
    """Of ALiBi's scores the distance is no part; what is masked counts as 0."""
    seen: list[Tensor] = []
    show = ShowScores(seen.append)
    late, distance = torch.ones(5, 5, dtype=torch.bool).triu(1), torch.arange(25.0).view(5, 5)
    plain = (Q.clone().requires_grad_() @ K.transpose(-2, -1)).float()
    with show:
        (plain - distance).float().masked_fill(late, -math.inf).softmax(-1)
        (plain + torch.ones(5, 5).requires_grad_()).softmax(-1)
        (plain * 2).softmax(-1)
    with_distance, with_learned, doubled = seen
    assert torch.equal(show.learned(with_distance), plain.masked_fill(late, 0.0))
    assert torch.equal(show.learned(with_learned), plain + 1)
    assert torch.equal(show.learned(doubled), 2 * plain)
