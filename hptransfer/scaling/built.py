"""What a factory builds: the form and the size of every tensor's own initial value.

Read off one model at the base width, under seed 0. What a tensor is does not change with the width, the density or the
seed, so one look serves every trial, and a table costs no more than the small model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from hptransfer.scaling.build_model import Build, build_model

__all__ = ["BuiltTensor", "built_tensors"]

Form = Literal["zeros", "ones", "constant", "orthogonal", "default", "own"]
"""`default`: a bias as torch's own layers draw it, noise whose size falls with the width; `own`: anything else."""

EQUAL = 1e-4
"""Relative difference up to which rows are equally long, and orthogonal: far above rounding, far below chance."""


@dataclass(frozen=True, slots=True)
class BuiltTensor:
    """One tensor as the factory built it, with all its names. `rms` is the root of its mean square."""

    names: tuple[str, ...]
    form: Form
    low: float
    high: float
    rms: float

    @property
    def words(self) -> str:
        """How a message tells of it."""
        if self.form in ("zeros", "orthogonal"):
            return self.form
        return f"all {self.low:.3g}" if self.low == self.high else f"{self.low:.3g} to {self.high:.3g}"


@lru_cache(maxsize=64)
def built_tensors(build: Build, width: int, depth: int | None) -> Mapping[str, BuiltTensor]:
    """Every parameter as the factory builds it at this size under seed 0, by its first name."""
    model = build_model(build, width, depth)
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {
        name: _seen(model.get_submodule(name.rpartition(".")[0]), parameter.detach().float(), names[id(parameter)])
        for name, parameter in model.named_parameters()
    }


def _seen(module: nn.Module, value: Tensor, names: list[str]) -> BuiltTensor:
    low, high = float(value.min()), float(value.max())
    rms = float(torch.linalg.vector_norm(value, dtype=torch.float64)) / math.sqrt(value.numel())
    return BuiltTensor(tuple(names), _form(module, names[0].rpartition(".")[2], value, low, high), low, high, rms)


def _form(module: nn.Module, leaf: str, value: Tensor, low: float, high: float) -> Form:
    if low == high == 0:
        return "zeros"
    if value.dim() == 1 and "bias" in leaf and _is_torchs_draw(module, value):
        return "default"
    if low == high:
        return "ones" if low == 1 else "constant"
    return "orthogonal" if value.dim() > 1 and _is_orthogonal(value.flatten(1)) else "own"


def _is_torchs_draw(module: nn.Module, value: Tensor) -> bool:
    """Whether a bias may be what torch drew, uniform in ±1/√fan-in: within those bounds, and no number recurs as it
    does where somebody filled a part."""
    inputs = _inputs(module)
    if inputs is None or float(value.abs().max()) > (1 + 1e-6) / math.sqrt(inputs):
        return False
    most = max(Counter(value.tolist()).values())
    return most == 1 or most <= value.numel() // 8


def _inputs(module: nn.Module) -> int | None:
    """What torch's layers take for the fan-in as they draw their bias; None where they draw none."""
    if isinstance(module, nn.RNNBase):
        return module.hidden_size
    if isinstance(module, nn.modules.conv._ConvNd):
        return module.weight[0].numel()
    inputs = getattr(module, "in_features", None)
    return inputs if isinstance(inputs, int) and inputs > 0 else None


def _is_orthogonal(matrix: Tensor) -> bool:
    """Rows (of a tall matrix: columns) of equal length at right angles. The lengths alone tell a random one apart."""
    rows = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squares = rows.square().sum(1)
    most = float(squares.max())
    if len(rows) < 2 or float(squares.max() - squares.min()) > EQUAL * most:
        return False
    return float((rows @ rows.T - squares.diag()).abs().max()) <= EQUAL * most
