"""A linear layer that holds and computes only its non-zeros, and the swap that puts it into a model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.utils.parametrize
from torch import Tensor, nn

from hptransfer.sparsity.indices import SparseIndices, prepare_indices

__all__ = ["SparseLinear", "index_buffers", "sparsifiable", "swap_linear", "values_of"]


class SparseLinear(nn.Module):
    """`layer` with a static mask. `weight` is the 1-D tensor of non-zeros in row-major order, zero at first.

    The index tensors are buffers, so a caller of `functional_call` can hand in those of another mask with the same
    number of non-zeros. Under autocast the input is cast as a dense layer's would be; the values stay as they are.
    """

    def __init__(self, layer: nn.Linear, nonzeros: int) -> None:
        super().__init__()
        self.in_features, self.out_features, self.nonzeros = layer.in_features, layer.out_features, nonzeros
        self.weight, self.bias = nn.Parameter(layer.weight.new_zeros(nonzeros)), layer.bias
        sizes = SparseIndices._make((self.out_features + 1, nonzeros, self.in_features + 1, nonzeros, nonzeros))
        for name, size in sizes._asdict().items():
            self.register_buffer(name, torch.zeros(size, dtype=torch.int32, device=layer.weight.device))
        self.train(layer.training)

    @property
    def indices(self) -> SparseIndices:
        """Where the non-zeros lie."""
        return SparseIndices(*(getattr(self, name) for name in SparseIndices._fields))

    def forward(self, x: Tensor) -> Tensor:
        from hptransfer.sparsity.products import sparse_linear  # here, not above: it makes dynamo load

        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        y = sparse_linear(x, self.weight, self.indices)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, nonzeros={self.nonzeros}, bias={self.bias is not None}"


def values_of(dense: Tensor, mask: Tensor) -> Tensor:
    """The values of `dense` where the boolean `mask` is True, in row-major order: what a sparse layer trains."""
    return dense[mask]


def index_buffers(name: str, mask: Tensor) -> dict[str, Tensor]:
    """Index tensors of the parameter `name` (`….weight`) under the names of the buffers they stand for."""
    prefix = name.removesuffix("weight")
    return {f"{prefix}{key}": value for key, value in prepare_indices(mask)._asdict().items()}


def sparsifiable(model: nn.Module, name: str) -> bool:
    """Whether the parameter `name` belongs to a plain `nn.Linear` that `SparseLinear` can stand in for.

    Not so for subclasses, tied weights, and layers with hooks or parametrizations: these may read the matrix itself.
    """
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    if leaf != "weight" or type(module) is not nn.Linear:
        return False
    holders = sum(weight is module.weight for m in model.modules() for weight in m._parameters.values())
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return holders == 1 and not hooked


def swap_linear(model: nn.Module, nonzeros: Mapping[str, int]) -> None:
    """Replace, in place, the layers of the named weights by sparse ones with that many non-zeros (left at zero).

    To be called before hooks are attached. Bias and device stay as they are; other layers are untouched.
    """
    for name, count in nonzeros.items():
        if not sparsifiable(model, name):
            raise ValueError(f"{name} is not the weight of a plain nn.Linear")
        path = name.rpartition(".")[0]
        layer = model.get_submodule(path)
        assert isinstance(layer, nn.Linear)
        model.set_submodule(path, SparseLinear(layer, count))
