"""What a rule must know of a model and nobody tells is refused by name."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from traced_models import FusedAttention, Net, NormedWithoutGain, Shared, Untraceable

from hptransfer.common.errors import InputError
from hptransfer.scaling.parametrize import parametrize


def test_queries_that_nothing_can_scale_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"h\.0\.attn: attention heads grow from 16 to 32.*alike.*model\.queries"):
        parametrize(partial(Net, attention=Shared), width=32, base_width=16, depth=1)


def test_a_model_that_cannot_be_traced_is_refused_and_says_what_would_help() -> None:
    with pytest.raises(InputError, match=r"missing 1 required positional argument: 'mask'.*sample=.*queries"):
        parametrize(Untraceable, width=32, base_width=16, depth=1)
    p = parametrize(Untraceable, width=32, base_width=16, depth=1, queries=())
    assert {s.multiplier for s in p.table if "c_attn" in s.name} == {1.0}
    sample = (torch.zeros(1, 8, dtype=torch.long), torch.ones(1, 8, 1))
    p = parametrize(Untraceable, width=32, base_width=16, depth=1, sample=sample)
    assert [s.multiplier_rows for s in p.table if "c_attn.weight" in s.name] == [((0, 32),)]


def silenced(width, depth=1):
    net = Net(width, depth)
    net.residual_outputs = ()
    return net


def test_a_depth_rule_without_any_is_refused() -> None:
    with pytest.raises(InputError, match="'completep' scales residual branches with the depth, and no matrix is known"):
        parametrize(silenced, width=32, base_width=32, depth=2, base_depth=2, rule="completep")


class Bare(nn.Module):
    """Its branch is written by a bare parameter, on which no multiplier can act."""

    def __init__(self, width, depth=1):
        super().__init__()
        self.embed, self.readout = nn.Embedding(16, width), nn.Linear(width, 16, bias=False)
        self.inner, self.out = nn.Linear(width, width, bias=False), nn.Parameter(torch.randn(width, width))

    def forward(self, tokens):
        x = self.embed(tokens)
        return self.readout(x + torch.tanh(self.inner(x)) @ self.out)


def test_a_depth_rule_names_the_branch_that_it_cannot_scale() -> None:
    said = {"roles": {"out": "hidden^T"}, "width": 32, "base_width": 32, "depth": 2, "base_depth": 2}
    with pytest.raises(InputError, match="no matrix is known to write to the residual stream"):
        parametrize(Bare, rule="completep", **said)  # who says `hidden` says that it does not
    traced = {**said, "roles": {"out": "residual^T"}}
    with pytest.raises(InputError, match=r"out: .*no module of its own on which a multiplier could act"):
        parametrize(Bare, rule="completep", **traced)


def test_a_factory_that_ignores_the_depth_is_refused_at_another_one() -> None:
    build = partial(Net, depth=2)
    held = lambda width: build(width)  # noqa: E731
    assert parametrize(held, width=32, base_width=16, depth=2).table
    for rule in ("mup", "completep"):
        with pytest.raises(InputError, match=r"build: the factory ignores 'depth'.*found 'depth 4 and 2'"):
            parametrize(held, width=32, base_width=32, depth=4, base_depth=2, rule=rule)


class Tempered(FusedAttention):
    """Normed queries with a gain that belongs to no module of its own."""

    def __init__(self, width, **options):
        super().__init__(width, **options)
        self.gain = nn.Parameter(torch.ones(width // 2))

    def forward(self, x):
        q, k, v = (h.unflatten(-1, (2, -1)).transpose(1, 2) for h in self.c_attn(x).split(x.shape[-1], dim=2))
        q = nn.functional.normalize(q, dim=-1) * self.gain
        return self.c_proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("attention", "queries", "words"),
    [
        (Tempered, None, r"attn\.gain has no module of its own"),
        (Tempered, ("*.gain",), r"attn\.gain has no module of its own"),  # its owner is the whole attention
        (NormedWithoutGain, ("*.c_attn.weight",), "its queries are normed without a gain of their own"),
        (Shared, ("*.c_attn.weight",), "makes queries and keys alike"),
    ],
)
def test_a_factor_that_would_miss_the_queries_is_refused_and_the_way_out_is_named(attention, queries, words) -> None:
    sizes = {"width": 32, "base_width": 16, "depth": 1, "rule": "mup"}
    with pytest.raises(InputError, match=rf"{words}.*\[\] where nothing is to be scaled"):
        parametrize(partial(Net, attention=attention), **sizes, queries=queries)
    assert parametrize(partial(Net, attention=attention), **sizes, queries=()).table


class TiedPast(nn.Module):
    """Reads out with the table itself, or as a module that shares it."""

    def __init__(self, width, as_module):
        super().__init__()
        self.embed, self.hidden = nn.Embedding(16, width), nn.Linear(width, width)
        if as_module:
            self.head = nn.Linear(width, 16, bias=False)
            self.head.weight = self.embed.weight

    def forward(self, tokens):
        x = torch.tanh(self.hidden(self.embed(tokens)))
        return self.head(x) if hasattr(self, "head") else nn.functional.linear(x, self.embed.weight)


def test_a_table_that_reads_out_past_any_module_is_refused() -> None:
    assert parametrize(partial(TiedPast, as_module=True), width=32, base_width=16).table[0].tied
    with pytest.raises(InputError, match=r"embed\.weight: the forward pass multiplies with this table.*head\.weight ="):
        parametrize(partial(TiedPast, as_module=False), width=32, base_width=16)
