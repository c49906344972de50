"""Hugging Face's vision transformer, built from a config and wrapped, so that a tensor comes out."""

from __future__ import annotations

import transformers
from torch import Tensor, nn
from zoo.entry import CLASSES, PICTURES, Entry, classify, hidden, readout, table, vector, writer

__all__ = ["ENTRIES"]

HEAD, PATCH, SIZE = 16, 2, 8


class Classes(nn.Module):
    """Pictures to a logit a class."""

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.m = vit

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.m(pixel_values=pictures).logits
        return logits


def vit(width: int, depth: int = 1) -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // HEAD,
        image_size=SIZE,
        patch_size=PATCH,
        num_labels=CLASSES,
    )
    return Classes(transformers.ViTForImageClassification(config))


LAYER = "m.vit.layers.0"

ENTRIES = (
    Entry(
        "ViT",
        vit,
        (
            table("m.vit.embeddings.patch_embeddings.projection.weight", 3 * PATCH**2),
            table("m.vit.embeddings.position_embeddings", (SIZE // PATCH) ** 2 + 1),
            vector("m.vit.embeddings.cls_token", "built"),
            hidden(f"{LAYER}.attention.[qkv]_proj.weight", 128),
            writer(f"{LAYER}.attention.o_proj.weight", 128),
            hidden(f"{LAYER}.mlp.fc1.weight", 128),
            writer(f"{LAYER}.mlp.fc2.weight", 4 * 128),
            readout("m.classifier.weight", 128),
            vector("m.vit*layernorm*.weight", "ones"),
            vector("*.bias", "zeros"),
        ),
        plant=f"{LAYER}.mlp.fc1.weight",
        depth=1,
        # A bare parameter of 17 × width: nothing tells that it is looked up and not multiplied.
        roles={"*.position_embeddings": "embedding"},
        batch=PICTURES,
        loss=classify,
        sample=PICTURES[0],
        task="zoo.pictures:Pictures",
    ),
)
