"""Growing heads: whose queries a rule scales, and which module nobody spoke for."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from traced_models import Net, TorchsOwn

from hptransfer.common.errors import InputError
from hptransfer.scaling.parametrize import parametrize
from hptransfer.scaling.roles import survey
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import GPT


def grown(**options):
    """A GPT with a fixed number of heads, at twice its base width."""
    return lambda width, depth=1: GPT(width=width, depth=depth, vocab_size=8, context=4, heads=2, **options)


def ratios(found) -> dict[str, float]:
    return {fact.name: fact.head_ratio for fact in found.tensors if fact.head_ratio is not None}


def test_the_queries_that_a_model_declares_are_marked() -> None:
    found = survey(grown(), width=32, base_width=16, depth=1)
    assert ratios(found) == {"blocks.0.attention.query.weight": 2.0}
    assert found.unclaimed_heads == ()


def test_heads_of_a_fixed_size_ask_for_nothing() -> None:
    build = lambda width, depth=1: GPT(width=width, depth=depth, vocab_size=8, context=4, head_size=8)  # noqa: E731
    assert ratios(survey(build, width=32, base_width=16, depth=1)) == {}


def test_a_model_that_scales_itself_says_that_it_needs_nothing() -> None:
    found = survey(grown(base_head_size=8), width=32, base_width=16, depth=1)
    assert ratios(found) == {}
    assert found.unclaimed_heads == ()


def test_a_silent_model_is_named_with_its_sizes() -> None:
    class Silent(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.embed, self.attention, self.readout = nn.Embedding(8, width), nn.Module(), nn.Linear(width, 8)
            self.attention.query, self.attention.head_dim = nn.Linear(width, width), width // 2

    found = survey(Silent, width=32, base_width=16)
    assert found.unclaimed_heads == (("attention", 16, 8),)
    told = survey(Silent, width=32, base_width=16, queries=("*.query.weight",))
    assert ratios(told) == {"attention.query.weight": 2.0}
    assert told.unclaimed_heads == ()


@pytest.mark.parametrize("fused", [True, False], ids=["sdpa", "written out"])
def test_of_a_fused_projection_the_queries_alone_are_scaled(fused) -> None:
    """Two heads at twice the base: logits of 1/√d take a further √½, values are as they were."""
    p = parametrize(partial(Net, fused=fused), width=32, base_width=16, depth=1, rule="mup", base=BaseHPs(init_std=0.5))
    attention = p.model.h[0].attn
    x = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(0))
    plain = F.linear(x, attention.c_attn.weight, attention.c_attn.bias)
    q, k, v = (part.view(2, 6, 2, 16).transpose(1, 2) for part in plain.split(32, dim=2))
    assert torch.allclose(attention.c_attn(x), torch.cat([plain[..., :32] * 0.5**0.5, plain[..., 32:]], -1))
    logits = (q @ k.transpose(-2, -1)) * 8**0.5 / 16  # μP's 1/d, which agrees with 1/√d at the base's 8
    mixed = logits.masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf).softmax(-1) @ v
    expected = attention.c_proj(mixed.transpose(1, 2).reshape(2, 6, 32))
    assert torch.allclose(attention(x), expected, atol=1e-6)


def test_a_model_whose_own_scale_is_one_over_d_is_left_alone() -> None:
    p = parametrize(partial(Net, power=-1), width=32, base_width=16, depth=1, rule="mup")
    assert [s.multiplier for s in p.table if "c_attn.weight" in s.name] == [pytest.approx(1.0)]


def test_sp_leaves_the_scale_of_the_model() -> None:
    p = parametrize(partial(Net, power=-1), width=32, base_width=16, depth=1, rule="sp")
    assert {s.multiplier for s in p.table if "c_attn.weight" in s.name} == {1.0}


def test_the_rows_are_those_of_the_trace_also_where_the_user_names_the_matrix() -> None:
    sizes = {"width": 32, "base_width": 16, "depth": 1}
    p = parametrize(Net, **sizes, rule="mup", queries=("*.c_attn.weight",))
    assert {s.multiplier_rows for s in p.table if "c_attn.weight" in s.name} == {((0, 32),)}
    with pytest.raises(InputError, match="queries: no parameter has such a name"):
        parametrize(Net, **sizes, queries=("*.q.weight",))


@pytest.mark.parametrize("build", [Net, TorchsOwn])
def test_who_says_that_there_are_none_has_none_scaled(build) -> None:
    p = parametrize(build, width=32, base_width=16, depth=1, rule="mup", queries=())
    assert {s.multiplier for s in p.table if s.role == "hidden"} == {1.0}
