"""All models of the zoo."""

from __future__ import annotations

from zoo import (
    conv_gqa,
    experts,
    gpt,
    hugging,
    nanogpt,
    recurrent,
    resnet,
    shared_heads,
    stacked_experts,
    state_space,
    vit,
)

__all__ = ["ENTRIES"]

ENTRIES = (
    *gpt.ENTRIES,
    *nanogpt.ENTRIES,
    *hugging.ENTRIES,
    *vit.ENTRIES,
    *conv_gqa.ENTRIES,
    *shared_heads.ENTRIES,
    *state_space.ENTRIES,
    *recurrent.ENTRIES,
    *resnet.ENTRIES,
    *experts.ENTRIES,
    *stacked_experts.ENTRIES,
)
