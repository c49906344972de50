"""Keeping zeros at zero in a model that a user trains with a loop of their own.

The masks are buffers beside the weights. Zeros stay zero because the gradient is masked before the optimizer sees it;
decay and momentum then have nothing to move. Gradient hooks hang on tensors: `deepcopy`, `pickle` and whatever puts
other parameters in place (`fully_shard`, `load_state_dict(assign=True)`) drop them, so a hook on the model's forward
puts them back where they are missing. Under `torch.compile` that check costs nothing: a copy that has not run yet
breaks the graph once, and `arm` avoids even that.

What takes the parameters away from the hooks altogether would make the model dense in silence. The zeros are therefore
looked at too, at the second forward pass, the fourth, the eighth …: often enough to stop at the first step, and too
seldom to cost anything.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import MARK
from hptransfer.scaling.sharded import cut_like, is_sharded, local_part

__all__ = ["apply_masks", "arm", "attach_masks", "check_zeros", "masked_parameters"]

_STATE = f"{MARK}armed"
_MASK = f"{MARK}mask_"


class _Armed:
    """Whether the model has been armed, and its forward passes since. A copy or a pickle starts anew."""

    def __init__(self) -> None:
        self.ready = False
        self.passes = 0

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
        return gradient * cut_like(mask, gradient).to(gradient.dtype)

    def reduced(self, parameter: Tensor) -> None:
        """The same for a sharded parameter: `fully_shard` writes its gradient once that is summed over processes."""
        if parameter.grad is not None:
            parameter.grad = self(parameter.grad)


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
            parameter.mul_(cut_like(mask, parameter).to(parameter.dtype))


def arm(model: nn.Module) -> None:
    """Put back gradient hooks that are missing; every forward pass does it too."""
    for module, leaf, name in _masked(model):
        parameter = getattr(module, leaf)
        _check_reachable(module, leaf, name)
        # Inside functional_call a parameter is somebody else's tensor: leave it alone.
        if isinstance(parameter, nn.Parameter) and parameter.requires_grad and not _is_armed(parameter):
            hook = _MaskGradient(module, _MASK + leaf)
            if is_sharded(parameter):
                parameter.register_post_accumulate_grad_hook(hook.reduced)  # type: ignore[no-untyped-call]
            else:
                parameter.register_hook(hook)  # type: ignore[no-untyped-call]
    getattr(model, _STATE).ready = True


def check_zeros(model: nn.Module) -> None:
    """Refuse a model in which hidden weights are no longer zero."""
    leaks = {_full_name(name, leaf): _leaks(module, leaf) for module, leaf, name in _masked(model)}
    seen = {name: leak for name, leak in leaks.items() if leak is not None}
    if not seen:
        return
    device = next(iter(seen.values())).device
    if torch.stack([leak.to(device) for leak in seen.values()]).any():  # one wait for the device, not one a tensor
        dense = [name for name, leak in seen.items() if leak]
        raise _not_masked(dense[0], f"weights in {len(dense)} of {len(seen)} masked tensors that should be zero")


def _check_reachable(module: nn.Module, leaf: str, name: str) -> None:
    """Refuse a wrapper that trains one flat tensor in place of the parameters, so that no hook of theirs is called."""
    value: Tensor = getattr(module, leaf)
    is_parameter = isinstance(value, nn.Parameter)
    # What FSDP1 shows for the length of a forward pass is a view of its own; torch.func shows other tensors too.
    is_view = not is_parameter and getattr(module, "_is_fsdp_managed_module", False)
    if is_view or (is_parameter and value.shape != getattr(module, _MASK + leaf).shape):
        raise _not_masked(_full_name(name, leaf), f"a {type(value).__name__} of shape {tuple(value.shape)}")


def _not_masked(where: str, found: str) -> InputError:
    return InputError(
        "what trains this model does not see its masks: its zeros are lost",
        where=where,
        found=found,
        allowed="torch.compile, DistributedDataParallel, fully_shard (FSDP2)",
        hint="use fully_shard in place of FullyShardedDataParallel, wrap the model in nothing else that replaces its"
        " parameters, and write to no masked weight yourself",
    )


def _full_name(module: str, leaf: str) -> str:
    return f"{module}.{leaf}" if module else leaf


def _masked(model: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Every module that owns a masked parameter, the parameter's name in it, and the module's own name."""
    for name, module in model.named_modules():
        for buffer in module._buffers:
            if buffer.startswith(_MASK):
                yield module, buffer.removeprefix(_MASK), name


def _is_armed(parameter: nn.Parameter) -> bool:
    """Asked of the tensor itself: `fully_shard` swaps two parameters back and forth, and copies lose their hooks."""
    kept = (parameter._backward_hooks, getattr(parameter, "_post_accumulate_grad_hooks", None))
    hooks = [hook for some in kept for hook in (some or {}).values()]
    return any(isinstance(getattr(hook, "__self__", hook), _MaskGradient) for hook in hooks)


def _leaks(module: nn.Module, leaf: str) -> Tensor | None:
    """Whether a hidden weight is not zero, as a tensor; None inside functional_call, whose tensors are not ours."""
    value: Tensor = getattr(module, leaf)
    if leaf in module._parameters and not isinstance(value, nn.Parameter):
        return None
    hidden = ~local_part(cut_like(getattr(module, _MASK + leaf), value))
    # A weight that has diverged to NaN is not above 0: that is another trouble, with another message.
    return ((local_part(value.detach()).abs() * hidden) > 0).any()


def _arm_if_needed(model: nn.Module, args: Any) -> None:
    # While tracing only flags are looked at, so that an armed model compiles to a single graph. FSDP breaks it anyway.
    if torch.compiler.is_compiling():
        if not getattr(model, _STATE).ready or _is_under_fsdp(model):
            torch.compiler.disable(arm)(model)  # type: ignore[no-untyped-call]
        return
    arm(model)
    state: _Armed = getattr(model, _STATE)
    state.passes += 1
    is_time = state.passes > 1 and state.passes & (state.passes - 1) == 0
    if is_time and not _is_capturing():
        check_zeros(model)


def _is_under_fsdp(model: nn.Module) -> bool:
    """Of version 2 or 1, by the marks that they leave on the model."""
    return hasattr(model, "set_requires_gradient_sync") or hasattr(model, "_is_fsdp_managed_module")


def _is_capturing() -> bool:
    """Whether a CUDA graph is being recorded: that allows no look at what a tensor holds."""
    started: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return started and torch.cuda.is_current_stream_capturing()


def _mask_what_was_loaded(model: nn.Module, incompatible_keys: Any) -> None:
    """A dense checkpoint has weights where the mask has none, and what was assigned has no hooks."""
    apply_masks(model)
    arm(model)
