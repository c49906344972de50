"""Hugging Face models as a factory hands them over: built from a config and wrapped, so that logits come out.

The submodule `m` and the wrapper itself only hand on what the readout gave: no readout, and yet it ends as one does.
"""

from __future__ import annotations

from functools import partial

import transformers
from torch import Tensor, nn

__all__ = ["HUGGING"]

VOCABULARY, CONTEXT, HEAD = 64, 32, 16
NO_ENDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


class Logits(nn.Module):
    """As docs/faq.md says: wrap a model that returns an object, and hand out its `.logits`."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.m(input_ids=tokens, use_cache=False).logits
        return logits


def gpt2(width: int, depth: int = 1) -> nn.Module:
    """Tied, with matrices stored as (in, out)."""
    sizes = {"n_embd": width, "n_head": width // HEAD, "n_layer": depth, "n_positions": CONTEXT}
    config = transformers.GPT2Config(vocab_size=VOCABULARY, **sizes, **NO_ENDS)
    return Logits(transformers.GPT2LMHeadModel(config))


def gated(kind: str, width: int, depth: int = 1) -> nn.Module:
    """Llama and Qwen2: RMSNorm, rotary positions, a gated FFN, half as many key heads as queries."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // HEAD,
        num_key_value_heads=width // HEAD // 2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        **NO_ENDS,
    )
    return Logits(getattr(transformers, f"{kind}ForCausalLM")(config))


HUGGING = {"Llama": partial(gated, "Llama"), "GPT-2": gpt2, "Qwen2": partial(gated, "Qwen2")}
