"""Forward multipliers: hooks that multiply an activation by a buffer of the module.

A buffer is data: `functional_call`, `vmap` and compiled programs can hand in another value without a new program, and
`deepcopy`, `pickle` and `state_dict` carry it along. The hooks are plain functions of this file and hold nothing.
Every place a role allows has its buffer even when the rule leaves it at 1, so that the program does not depend on the
rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import MARK
from hptransfer.scaling.facts import MultiplierPlace
from hptransfer.scaling.table import TensorScale, TiedUse

__all__ = ["attach_multipliers", "multiplier_buffers", "multipliers_of"]

_OUTPUT = f"{MARK}multiplier_output"
_INPUT = f"{MARK}multiplier_input"


def multiplier_buffers(table: Sequence[TensorScale]) -> dict[str, Tensor]:
    """Buffer name → value, as `attach_multipliers` registers them: a number, or one for each output of the module."""
    uses = [(use, scale.outputs) for scale in table for use in scale.uses if use.multiplier_buffer]
    return {use.multiplier_buffer: _value(use, outputs) for use, outputs in uses}


def _value(use: TiedUse, outputs: int) -> Tensor:
    if not use.multiplier_rows:
        return torch.tensor(use.multiplier, dtype=torch.float32)
    value = torch.ones(outputs)
    for first, end in use.multiplier_rows:
        value[first:end] = use.multiplier
    return value


def attach_multipliers(model: nn.Module, table: Sequence[TensorScale]) -> None:
    """Register the buffers and hooks on the model. A second time is refused."""
    for full_name, value in multiplier_buffers(table).items():
        path, _, buffer = full_name.rpartition(".")
        module = model.get_submodule(path)
        if hasattr(module, buffer):
            raise InputError(
                "the model has its multipliers already; a second time would scale it twice", where=path, found=buffer
            )
        device = next((p.device for p in module.parameters()), None)
        module.register_buffer(buffer, value.to(device))
        if buffer == _OUTPUT:
            module.register_forward_hook(_scale_output)
        else:
            module.register_forward_pre_hook(_scale_input, with_kwargs=True)


def multipliers_of(module: nn.Module) -> dict[MultiplierPlace, Tensor]:
    """The multipliers that act on this very module, by the place where they do."""
    buffers: dict[MultiplierPlace, str] = {"output": _OUTPUT, "input": _INPUT}
    return {at: module._buffers[buffer] for at, buffer in buffers.items() if module._buffers.get(buffer) is not None}  # type: ignore[misc]


def _scale_output(module: nn.Module, args: Any, output: Any) -> Any:
    factor: Tensor = getattr(module, _OUTPUT)
    if isinstance(output, tuple):  # nn.MultiheadAttention: (output, attention weights)
        return (output[0] * factor.to(output[0].dtype), *output[1:])
    return output * factor.to(output.dtype)


def _scale_input(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    factor: Tensor = getattr(module, _INPUT)
    if args:
        return (args[0] * factor.to(args[0].dtype), *args[1:]), kwargs
    first = next(iter(kwargs))
    name = "query" if "query" in kwargs else "input" if "input" in kwargs else first
    return args, {**kwargs, name: kwargs[name] * factor.to(kwargs[name].dtype)}
