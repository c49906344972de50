"""The GPT is causal, its options do what they say, and its parameters have the names that rules and roles expect."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hptransfer.common.errors import InputError
from hptransfer.tasks.models.gpt import FUSED_FROM, GPT, alibi_slopes, rotate

VARIANTS: list[dict[str, Any]] = [
    {},
    {"positions": "rotary", "norm": "rms", "activation": "swiglu"},
    {"positions": "alibi", "kv_heads": 1},
    {"positions": "none", "tied": True, "bias": True},
    {"heads": 2, "base_head_size": 8},
    {"qk_norm": True, "positions": "rotary", "kv_heads": 1},
    {"context": FUSED_FROM, "kv_heads": 1, "positions": "rotary"},
]


def small(**options: Any) -> GPT:
    torch.manual_seed(0)
    return GPT(width=16, depth=2, vocab_size=11, **{"head_size": 8, "context": 12, **options})


@pytest.mark.parametrize("options", VARIANTS)
def test_a_later_token_changes_no_earlier_logit(options: dict[str, Any]) -> None:
    model = small(**options)
    tokens = torch.randint(0, 11, (2, 12))
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 11
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert before.shape == (2, 12, 11)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_parameter_names_are_those_the_documentation_gives() -> None:
    names = {name for name, _ in small(activation="swiglu").named_parameters() if not name.startswith("blocks.1")}
    assert names == {
        "embed.weight",
        "position.weight",
        *(f"blocks.0.attention.{part}.weight" for part in ("query", "key", "value", "out")),
        *(f"blocks.0.ffn.{part}.weight" for part in ("up", "gate", "down")),
        "blocks.0.norm_attention.weight",
        "blocks.0.norm_ffn.weight",
        "norm.weight",
        "readout.weight",
    }


def test_parameter_count_by_hand() -> None:
    # 2 blocks of 12 d² (4 in attention, 8 in the feed-forward part), 5 norms, embedding, positions, readout; d = 16.
    assert sum(p.numel() for p in small().parameters()) == 2 * 12 * 256 + 5 * 16 + 16 * (11 + 12 + 11)


def test_tied_weights_are_one_tensor() -> None:
    model = small(tied=True)
    assert model.readout.weight is model.embed.weight


def test_grouped_queries_with_equal_keys_are_full_attention() -> None:
    grouped, full = small(kv_heads=1), small()
    state = grouped.state_dict()
    for name, tensor in state.items():
        if "key" in name or "value" in name:
            state[name] = tensor.repeat(2, 1)
    full.load_state_dict(state)
    tokens = torch.randint(0, 11, (2, 12))
    with torch.no_grad():
        assert torch.allclose(grouped(tokens), full(tokens), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"base_head_size": 2}, {"kv_heads": 1, "positions": "rotary"}])
def test_fused_attention_is_the_one_written_out(options: dict[str, Any]) -> None:
    fused, plain = (small(**{"positions": "none", "context": c} | options) for c in (FUSED_FROM, FUSED_FROM - 1))
    plain.load_state_dict(fused.state_dict())
    tokens = torch.randint(0, 11, (2, 40))
    gradients = []
    for model in (fused, plain):
        model(tokens).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert (fused.attention_fused, plain.attention_fused) == (True, False)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_alibi_is_written_out_at_any_length() -> None:
    assert not small(positions="alibi", context=FUSED_FROM).attention_fused


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    query, key = torch.randn(8), torch.randn(8)
    scores = rotate(query.expand(1, 10, 8)) @ rotate(key.expand(1, 10, 8)).transpose(-1, -2)
    assert torch.allclose(scores[0, 5, 3], scores[0, 9, 7], atol=1e-5)
    assert torch.allclose(rotate(query.expand(1, 1, 8))[0, 0], query)


def test_alibi_slopes_of_four_heads() -> None:
    assert alibi_slopes(4, torch.device("cpu")).tolist() == [1 / 4, 1 / 16, 1 / 64, 1 / 256]


def test_attention_scale_is_mup_once_heads_grow_and_agrees_at_the_base() -> None:
    at_base = GPT(width=16, heads=2, base_head_size=8).blocks[0].attention.scale
    doubled = GPT(width=32, heads=2, base_head_size=8).blocks[0].attention.scale
    assert at_base == pytest.approx(8**-0.5)
    assert doubled == pytest.approx(at_base / 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 40, "head_size": 32}, "multiple of the head size"),
        ({"width": 64, "heads": 4, "kv_heads": 3}, "multiple of kv_heads"),
        ({"width": 64, "positions": "absolute"}, "learned, rotary, alibi, none"),
        ({"width": 64, "activation": "relu"}, "gelu, swiglu"),
        ({"width": 64, "norm": "batch"}, "layer, rms"),
        ({"width": 9, "heads": 3, "positions": "rotary"}, "even head size"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        GPT(**options)


def test_qk_norm_gives_queries_and_keys_of_one_size_and_a_gain_that_heads_share() -> None:
    model = small(qk_norm=True)
    attention = model.get_submodule("blocks.0.attention")
    seen: list[torch.Tensor] = []
    for name in ("query_norm", "key_norm"):
        attention.get_submodule(name).register_forward_hook(lambda module, args, out: seen.append(out.detach()))
    model(torch.arange(10).view(2, 5)).square().mean().backward()
    for normed in seen:
        assert normed.shape == (2, 2, 5, 8)  # sequences, heads, places, head size
        assert torch.allclose(normed.square().mean(-1), torch.ones(2, 2, 5), atol=1e-2)
    assert len(seen) == 2
    for name in ("query_norm.weight", "key_norm.weight"):
        gain = attention.get_parameter(name)
        assert gain.shape == (8,)
        assert gain.grad is not None
        assert gain.grad.any()
