"""A traced forward pass tells which rows of which tensor make queries, and what writes to the residual stream."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from traced_models import STREAM, Net, NormedWithoutGain, Shared, TorchsOwn

from hptransfer.scaling.trace.trace import trace_model
from hptransfer.tasks.models.gpt import GPT


def first(build, width=32):
    found = trace_model(build, width, 2)
    assert found.failure == ""
    return found.attentions[0]


def makers(build, width=32):
    return [(q.name, q.rows) for q in first(build, width).queries]


@pytest.mark.parametrize("fused", [True, False], ids=["sdpa", "written out"])
def test_the_first_third_of_a_fused_projection_makes_queries(fused) -> None:
    build = partial(Net, fused=fused)
    assert makers(build) == [("h.0.attn.c_attn.weight", ((0, 32),))]
    attention = first(build)
    assert (attention.module, attention.head_size, attention.scale) == ("h.0.attn", 16, pytest.approx(16**-0.5))
    assert first(build, 64).head_size == 32


def test_what_is_added_to_the_stream_is_told_by_name() -> None:
    assert trace_model(Net, 32, 2).writers == STREAM


def test_a_scale_of_its_own_is_read() -> None:
    assert first(partial(Net, power=-1)).scale == pytest.approx(1 / 16)


@pytest.mark.parametrize("device_limit", [0, 10**9], ids=["meta", "cpu"])
def test_both_devices_tell_the_same(device_limit, monkeypatch) -> None:
    monkeypatch.setattr("hptransfer.scaling.trace.trace.SMALL", device_limit)
    trace_model.cache_clear()
    assert makers(Net) == [("h.0.attn.c_attn.weight", ((0, 32),))]
    assert trace_model(Net, 32, 2).writers == STREAM


def test_torchs_own_attention() -> None:
    assert makers(TorchsOwn) == [("layers.0.self_attn.in_proj_weight", ((0, 32),))]
    assert trace_model(TorchsOwn, 32, 1).writers == ("layers.0.self_attn.out_proj.weight", "layers.0.linear2.weight")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "query"),
        ({"positions": "rotary", "activation": "swiglu", "norm": "rms"}, "query"),
        ({"positions": "alibi"}, "query"),
        ({"qk_norm": True, "norm": "rms"}, "query_norm"),
        ({"qk_norm": True, "context": 1024}, "query_norm"),
    ],
)
def test_our_gpt_is_traced_as_it_declares(options, name) -> None:
    build = partial(GPT, **{"vocab_size": 8, "context": 16, "heads": 2, **options})
    assert makers(build) == [(f"blocks.0.attention.{name}.weight", ())]
    assert first(build).scale == pytest.approx(16**-0.5)
    writers = [f"blocks.{i}.{n}.weight" for i in (0, 1) for n in ("attention.out", "ffn.down")]
    assert trace_model(build, 32, 2).writers == tuple(writers)


def test_what_no_factor_could_reach_is_said() -> None:
    assert first(partial(Net, attention=Shared)).unknown == "h.0.attn.c_attn.weight makes queries and keys alike"
    assert "normed without a gain" in first(partial(Net, attention=NormedWithoutGain)).unknown


class Curved(nn.Module):
    """What is bent on its way to the stream is no projection onto it."""

    def __init__(self, width):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, width), nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, x):
        x = self.first(x)
        return self.last(x + torch.tanh(self.inner(x)))


def test_a_branch_that_ends_in_a_curve_has_no_matrix_that_writes() -> None:
    assert trace_model(Curved, 8, None).failure == ""  # numbers are tried where no table wants token ids
    assert trace_model(Curved, 8, None).writers == ()


class NormedBranch(Curved):
    """A norm behind the branch takes away whatever size its last matrix has."""

    def forward(self, x):
        x = self.first(x)
        return self.last(x + nn.functional.layer_norm(self.inner(x), x.shape[-1:]))


def test_a_branch_that_ends_in_a_norm_has_none_either() -> None:
    assert trace_model(NormedBranch, 8, None).failure == ""
    assert trace_model(NormedBranch, 8, None).writers == ()


transformers = pytest.importorskip("transformers")


def hugging(name, **options):
    def build(width, depth=2):
        sizes = {"vocab_size": 16, "hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": 2}
        config = getattr(transformers, f"{name}Config")(
            **{**sizes, "intermediate_size": 2 * width, "bos_token_id": 0, "eos_token_id": 0, **options}
        )
        return getattr(transformers, f"{name}{'LMHeadModel' if name == 'GPT2' else 'ForCausalLM'}")(config)

    return build


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("name", "options", "query", "rows", "writers"),
    [
        ("GPT2", {}, "transformer.h.0.attn.c_attn", ((0, 32),), ("attn.c_proj", "mlp.c_proj")),
        ("Llama", {}, "model.layers.0.self_attn.q_proj", (), ("self_attn.o_proj", "mlp.down_proj")),
        (
            "Qwen2",
            {"num_key_value_heads": 1},
            "model.layers.0.self_attn.q_proj",
            (),
            ("self_attn.o_proj", "mlp.down_proj"),
        ),
        (
            "GPTNeoX",
            {},
            "gpt_neox.layers.0.attention.query_key_value",
            ((0, 16), (48, 64)),
            ("mlp.dense_4h_to_h", "attention.dense"),
        ),
    ],
)
def test_hugging_face(name, options, query, rows, writers, kernel) -> None:
    """GPT-2 keeps its matrices as (in, out); GPT-NeoX sets queries, keys and values side by side head by head."""
    build = hugging(name, attn_implementation=kernel, **options)
    assert makers(build) == [(f"{query}.weight", rows)]
    assert first(build).scale == pytest.approx(16**-0.5)
    prefix = query.partition(".0.")[0]
    assert trace_model(build, 32, 2).writers == tuple(f"{prefix}.{i}.{n}.weight" for i in (0, 1) for n in writers)
