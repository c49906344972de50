"""What a model is called with while it is traced: shapes and types, of which a caller's batch is one source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.common.errors import InputError

__all__ = ["Sample", "guesses", "sample_of"]

EXAMPLES = 2
"""So many examples of a batch are traced."""

_Convolution = nn.modules.conv._ConvNd

TOKENS = (1, 8)
"""What is handed in where no sample is known: so many token ids."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Shapes and types, no values: equal samples give equal traces."""

    arguments: tuple[tuple[str, tuple[int, ...], str], ...]
    """Name, empty for an argument given by place; size; type."""

    def call(self, model: nn.Module, device: torch.device) -> Any:
        """The model's output on zeros."""
        made = [
            (name, torch.zeros(size, dtype=getattr(torch, kind), device=device)) for name, size, kind in self.arguments
        ]
        return model(*(x for name, x in made if not name), **{name: x for name, x in made if name})


def sample_of(inputs: Any) -> Sample:
    """From what a model is called with: a tensor, a tuple of tensors, or a dict of tensors by argument."""
    by_place = inputs if isinstance(inputs, list | tuple) else [inputs]
    pairs = list(inputs.items()) if isinstance(inputs, Mapping) else [("", x) for x in by_place]
    if not pairs or not all(isinstance(x, Tensor) for _, x in pairs):
        raise InputError(
            "is what the model is called with",
            where="sample",
            found=type(inputs).__name__,
            allowed="a tensor, a tuple of tensors, or a dict of tensors by the names of the model's arguments",
        )
    sizes = [tuple(x.shape) for _, x in pairs]
    if all(sizes) and len({size[0] for size in sizes}) == 1:  # examples, of which few are enough
        sizes = [(min(size[0], EXAMPLES), *size[1:]) for size in sizes]
    kinds = [str(x.dtype).removeprefix("torch.") for _, x in pairs]
    return Sample(tuple(zip((name for name, _ in pairs), sizes, kinds, strict=True)))


def guesses(model: nn.Module) -> Iterator[Sample]:
    """Token ids; and for a model without a look-up table, numbers of the size that its first layer takes."""
    yield Sample((("", TOKENS, "int64"),))
    if any(isinstance(m, nn.Embedding | nn.EmbeddingBag) for m in model.modules()):
        return
    first = next((m for m in model.modules() if isinstance(m, nn.Linear | nn.RNNBase | _Convolution)), None)
    if isinstance(first, _Convolution):
        sizes = [(EXAMPLES, first.in_channels, *[32] * len(first.kernel_size))]
    elif first is not None:
        size = first.in_features if isinstance(first, nn.Linear) else first.input_size
        sizes = [(*TOKENS, size), (EXAMPLES, size)]
    else:
        return
    yield from (Sample((("", size, "float32"),)) for size in sizes)
