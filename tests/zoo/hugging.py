"""Hugging Face's language models as a factory hands them over: from a config, and wrapped, so that logits come out.

The submodule `m` and the wrapper itself only hand on what the readout gave: no readout, and yet it ends as one does.
"""

from __future__ import annotations

import transformers
from torch import Tensor, nn
from zoo.entry import CONTEXT, VOCABULARY, Entry, Line, hidden, readout, table, vector, writer

__all__ = ["ENTRIES"]

HEAD = 16
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
    """Tied, with matrices stored as (in, out). Its dropout is off, as a study that stacks trials wants it."""
    sizes = {"n_embd": width, "n_head": width // HEAD, "n_layer": depth, "n_positions": CONTEXT}
    drops = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return Logits(
        transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=VOCABULARY, **sizes, **drops, **NO_ENDS))
    )


def gated(kind: str, width: int, depth: int, heads: int, **options: object) -> nn.Module:
    """RMSNorm, rotary positions, a gated FFN, half as many key heads as queries."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        **NO_ENDS,
        **options,
    )
    return Logits(getattr(transformers, f"{kind}ForCausalLM")(config))


def llama(width: int, depth: int = 1) -> nn.Module:
    return gated("Llama", width, depth, width // HEAD)


def llama_with_growing_heads(width: int, depth: int = 1) -> nn.Module:
    return gated("Llama", width, depth, heads=4)


def qwen2(width: int, depth: int = 1) -> nn.Module:
    return gated("Qwen2", width, depth, width // HEAD)


def mixtral(width: int, depth: int = 1) -> nn.Module:
    """Four experts, of which a token is given to two."""
    return gated("Mixtral", width, depth, width // HEAD, num_local_experts=4, num_experts_per_tok=2)


LAYER, GPT2_LAYER = "m.model.layers.0", "m.transformer.h.0"


def attention(queries: float = 1.0) -> tuple[Line, ...]:
    """Of Llama and its kin, with embedding, readout and norms, which are of their own make."""
    return (
        table("m.model.embed_tokens.weight", VOCABULARY),
        readout("m.lm_head.weight", 128),
        hidden(f"{LAYER}.self_attn.q_proj.weight", 128, queries=queries),
        hidden(f"{LAYER}.self_attn.[kv]_proj.weight", 128),
        writer(f"{LAYER}.self_attn.o_proj.weight", 128),
        vector("m.model.*norm.weight", "built"),
    )


FFN = (hidden(f"{LAYER}.mlp.[gu]*_proj.weight", 128), writer(f"{LAYER}.mlp.down_proj.weight", 2 * 128))

ENTRIES = (
    Entry("Llama", llama, (*attention(), *FFN), plant=f"{LAYER}.self_attn.o_proj.weight", depth=1),
    Entry(
        "Llama, growing heads",
        llama_with_growing_heads,
        (*attention(2**-0.5), *FFN),
        plant=f"{LAYER}.mlp.up_proj.weight",
        depth=1,
        wrong_heads={"queries": ()},
    ),
    Entry(
        "GPT-2",
        gpt2,
        (
            table("m.transformer.wte.weight", VOCABULARY, tied=True),
            table("m.transformer.wpe.weight", CONTEXT),
            hidden(f"{GPT2_LAYER}.attn.c_attn.weight", 128),
            writer(f"{GPT2_LAYER}.attn.c_proj.weight", 128),
            hidden(f"{GPT2_LAYER}.mlp.c_fc.weight", 128),
            writer(f"{GPT2_LAYER}.mlp.c_proj.weight", 4 * 128),
            vector("m.transformer.*ln_?.weight", "ones"),
            vector("*.bias", "zeros"),
        ),
        plant=f"{GPT2_LAYER}.mlp.c_proj.weight",
        depth=1,
    ),
    Entry(
        "Qwen2",
        qwen2,
        (*attention(), *FFN, vector(f"{LAYER}.self_attn.?_proj.bias", "zeros")),
        plant=f"{LAYER}.mlp.down_proj.weight",
        depth=1,
    ),
    Entry(
        "Mixtral",
        mixtral,
        (
            *attention(),
            hidden(f"{LAYER}.mlp.gate.weight", 128),
            hidden(f"{LAYER}.mlp.experts.gate_up_proj", 128),
            writer(f"{LAYER}.mlp.experts.down_proj", 2 * 128),
        ),
        plant=f"{LAYER}.mlp.experts.down_proj",
        depth=1,
        # Its outputs, a score an expert, are as many at every width: it could be a second readout.
        roles={"*.mlp.gate.weight": "hidden"},
    ),
)
