"""Keeping zeros at zero in a model that a user trains with a loop of their own.

The masks are buffers beside the weights. Zeros stay zero because the gradient is masked where it reaches the
parameter; decay and momentum then have nothing to move. Gradient hooks hang on tensors, and `deepcopy` and `pickle`
drop them, so a hook on the model's forward puts them back where they are missing. Under `torch.compile` that check
costs nothing: a copy that has not run yet breaks the graph once, and `arm` avoids even that.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.scaling.build_model import MARK

__all__ = ["apply_masks", "arm", "attach_masks", "masked_parameters"]

_STATE = f"{MARK}armed"
_MASK = f"{MARK}mask_"


class _Armed:
    """Which parameters carry their gradient hook. A copy or a pickle of it knows none: hooks do not travel."""

    def __init__(self) -> None:
        self.ready = False
        self.hooked: dict[str, nn.Parameter] = {}

    def __reduce__(self) -> tuple[type[_Armed], tuple[()]]:
        return (_Armed, ())


class _MaskGradient:
    """Multiplies a parameter's gradient by the mask its module holds at that moment (it may have moved device).

    The module is known weakly: it owns the parameter, which owns this hook, and a ring would outlive its model.
    """

    def __init__(self, module: nn.Module, buffer: str) -> None:
        self.module, self.buffer = weakref.ref(module), buffer

    def __call__(self, gradient: Tensor) -> Tensor:
        module = self.module()
        if module is None:  # the parameter lives on by itself: there is no mask any more
            return gradient
        mask: Tensor = getattr(module, self.buffer)
        return gradient * mask.to(gradient.dtype)


def attach_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Register masks (by parameter name) as buffers, zero what they hide, and mask gradients from now on."""
    for name, mask in masks.items():
        path, _, leaf = name.rpartition(".")
        model.get_submodule(path).register_buffer(_MASK + leaf, mask)
    setattr(model, _STATE, _Armed())
    apply_masks(model)
    arm(model)
    model.register_forward_pre_hook(_arm_if_needed)
    model.register_load_state_dict_post_hook(_mask_what_was_loaded)  # type: ignore[no-untyped-call]


def masked_parameters(model: nn.Module) -> dict[str, Tensor]:
    """Mask of every sparse parameter, by the parameter's name."""
    return {
        name.replace(_MASK, ""): buffer
        for name, buffer in model.named_buffers()
        if name.rpartition(".")[2].startswith(_MASK)
    }


def apply_masks(model: nn.Module) -> None:
    """Set hidden weights to zero in place."""
    with torch.no_grad():
        for name, mask in masked_parameters(model).items():
            parameter = model.get_parameter(name)
            parameter.mul_(mask.to(parameter.dtype))


def arm(model: nn.Module) -> None:
    """Put back gradient hooks that a copy has lost; the first forward pass does it too."""
    state: _Armed = getattr(model, _STATE)
    for name in masked_parameters(model):
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        parameter = getattr(module, leaf)
        # Inside functional_call a parameter is somebody else's tensor: leave it alone.
        if isinstance(parameter, nn.Parameter) and parameter.requires_grad and state.hooked.get(name) is not parameter:
            parameter.register_hook(_MaskGradient(module, _MASK + leaf))  # type: ignore[no-untyped-call]
            state.hooked[name] = parameter
    state.ready = True


def _arm_if_needed(model: nn.Module, args: Any) -> None:
    # While tracing only the flag is looked at, so that an armed model compiles to a single graph.
    if torch.compiler.is_compiling():
        if not getattr(model, _STATE).ready:
            torch.compiler.disable(arm)(model)  # type: ignore[no-untyped-call]
        return
    arm(model)


def _mask_what_was_loaded(model: nn.Module, incompatible_keys: Any) -> None:
    """A dense checkpoint has weights where the mask has none."""
    apply_masks(model)
