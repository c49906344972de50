"""Which matrices write to the residual stream, where a model does not declare it: as traced, or by a known name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from hptransfer.scaling.trace.trace import Trace

__all__ = ["KNOWN_NAMES", "declares_writers", "writers_of"]

KNOWN_NAMES = (
    "*.o_proj.weight",  # Llama, Mistral, Qwen, Gemma
    "*.down_proj.weight",
    "*.c_proj.weight",  # GPT-2 and nanoGPT
    "*.out_proj.weight",  # OPT, GPT-J, GPT-Neo, nn.MultiheadAttention
    "*.fc_out.weight",
    "*.fc2.weight",
    "*.dense_4h_to_h.weight",  # GPT-NeoX, Bloom, Falcon
    "*.attention.dense.weight",
    "*.self_attention.dense.weight",
    "*.wo.weight",  # T5, Llama as first published
    "*.w2.weight",
    "*.linear2.weight",  # nn.TransformerEncoderLayer
)
"""Names of families that are well known, for a model whose forward pass cannot be traced."""


def declares_writers(model: nn.Module) -> bool:
    """Whether the model says itself what writes to the stream, be it that nothing does."""
    return getattr(model, "residual_outputs", None) is not None


def writers_of(trace: Trace, names: Sequence[str]) -> tuple[str, ...]:
    """Of a model's parameters those that write to the stream."""
    if not trace.failure:
        return trace.writers
    return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in KNOWN_NAMES))
