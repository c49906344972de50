"""Which dimensions of a parameter are outputs and which are inputs, told by the type of the module that owns it.

Shapes alone cannot tell a (d, d) matrix stored as (out, in) from one stored as (in, out), nor an embedding from an
unembedding; module types can. A type that is not listed here has no layout, and its matrices need an override.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

__all__ = ["FeatureDims", "InitKind", "feature_dims", "initial_kind", "is_depthwise", "is_embedding"]

InitKind = Literal["normal", "zeros", "ones", "built", "rescaled"]
"""`normal`: drawn; `built`: as the factory built it; `rescaled`: that, at another size."""

_NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
_OUT_IN = (nn.Linear, nn.MultiheadAttention, nn.RNNBase)
_CONV = nn.modules.conv._ConvNd
_CONV_TRANSPOSED = nn.modules.conv._ConvTransposeNd
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True, slots=True)
class FeatureDims:
    """Output and input dimensions of a matrix or kernel; every dimension is in one of them."""

    out: tuple[int, ...]
    inp: tuple[int, ...]


def feature_dims(module: nn.Module, shape: tuple[int, ...]) -> FeatureDims | None:
    """The layout of a parameter of two or more dimensions; None where the module's type does not tell it."""
    rest = tuple(range(2, len(shape)))
    if isinstance(module, _EMBEDDINGS):
        return FeatureDims(out=(1,), inp=(0,))  # the input is one-hot over the rows
    if isinstance(module, _CONV_TRANSPOSED):
        return FeatureDims(out=(1,), inp=(0, *rest))
    if isinstance(module, _CONV):
        return FeatureDims(out=(0,), inp=(1, *rest))
    if isinstance(module, _OUT_IN) and len(shape) == 2:
        return FeatureDims(out=(0,), inp=(1,))
    if len(shape) == 2 and _is_transformers_conv1d(module):
        return FeatureDims(out=(1,), inp=(0,))
    features = (getattr(module, "out_features", None), getattr(module, "in_features", None))
    if shape == features:  # a linear layer in all but name
        return FeatureDims(out=(0,), inp=(1,))
    return None


def is_depthwise(module: nn.Module) -> bool:
    """A convolution whose groups grow with its channels: each output sees a fixed number of inputs."""
    return isinstance(module, _CONV) and module.groups > 1


def is_embedding(module: nn.Module) -> bool:
    """A look-up table: its rows are read, not multiplied."""
    return isinstance(module, _EMBEDDINGS)


def initial_kind(module: nn.Module, parameter: str) -> InitKind:
    """How a vector starts: known biases at 0, known norm gains at 1, anything else as the factory built it."""
    if "bias" in parameter and (isinstance(module, (*_NORMS, *_OUT_IN, _CONV)) or _is_transformers_conv1d(module)):
        return "zeros" if parameter not in ("bias_k", "bias_v") else "built"
    if "bias" in parameter and hasattr(module, "in_features") and hasattr(module, "out_features"):
        return "zeros"
    if parameter == "weight" and isinstance(module, _NORMS):
        return "ones"
    return "built"


def _is_transformers_conv1d(module: nn.Module) -> bool:
    """Hugging Face's GPT-2 keeps its matrices as (in, out) in a class of its own; told without importing it."""
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers.")
