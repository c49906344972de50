"""Hooks that record the size of every module's activation, gradient and update while a model trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.scaling.rules import VECTORS
from hptransfer.scaling.table import TensorScale

__all__ = ["MODEL", "Recorder"]

MODEL = "(model)"
"""Name under which the model's own output is recorded."""

_SUMS = ("hidden", "residual", "readout")
"""Roles whose output is a sum over inputs that grow in number. An embedding looks a row up."""


class Recorder:
    """Records one training step at a time: `begin`, forward, backward, `end`, step, `measure_update`, `rows`.

    A module called several times in one pass is recorded at its last call.
    """

    def __init__(self, model: nn.Module, table: Sequence[TensorScale]) -> None:
        self._model = model
        self._roles: dict[str, str] = {}
        self._matrices: dict[str, TensorScale] = {}
        for scale in table:
            for use in scale.uses:
                if use.role not in VECTORS:
                    self._roles[_owner(model, use.name)] = use.role
                    self._matrices[_owner(model, use.name)] = scale
        self._modules = {name or MODEL: module for name, module in model.named_modules()}
        self._on = False
        # What each module was given and gave, to be repeated with the updated weights.
        self._inputs: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._outputs: dict[str, Tensor] = {}
        self._asked: dict[str, Tensor] = {}
        """∂loss/∂output of each module with a matrix."""
        self._before: dict[str, Tensor] = {}
        self._sizes: dict[tuple[str, str], tuple[float, int]] = {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The hooks, for as long as they are needed."""
        handles = []
        for name, module in self._modules.items():
            enter, leave = partial(self._enter, name), partial(self._leave, name)
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True, prepend=True))
            handles.append(module.register_forward_hook(leave))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def begin(self) -> None:
        """Forget the last step and listen."""
        self._on = True
        self._inputs.clear()
        self._outputs.clear()
        self._asked.clear()
        self._sizes.clear()

    def end(self) -> None:
        """Stop listening."""
        self._on = False

    def keep_weights(self) -> None:
        """Remember the matrices as they are before the optimizer's step."""
        self._before = {name: self._weight(name).detach().clone() for name in self._roles}

    @torch.no_grad()
    def measure_update(self) -> None:
        """Repeat each module on the input it had, with its new weights, and compare."""
        for name, before in self._before.items():
            change = (self._weight(name) - before).abs().sum() / self._matrices[name].nonzeros
            self._sizes[name, "weight_update"] = (float(change), before.numel())
            if name in self._outputs:
                args, kwargs = self._inputs[name]
                again = _tensor(self._modules[name](*args, **kwargs))
                if again is not None:
                    change = again - self._outputs[name]
                    self._note(name, "update", change)
                    if name in self._asked and self._roles[name] in _SUMS:
                        self._sizes[name, "aligned_update"] = (_aligned(change, self._asked[name]), change[0].numel())

    def rows(self) -> list[Mapping[str, Any]]:
        """One row a module and kind."""
        return [
            {"module": name, "kind": kind, "value": value, "features": features, "role": self._roles.get(name, "")}
            for (name, kind), (value, features) in self._sizes.items()
        ]

    def _weight(self, name: str) -> Tensor:
        return self._model.get_parameter(self._matrices[name].name)

    def _note(self, name: str, kind: str, tensor: Tensor) -> None:
        per_sequence = tensor.numel() // tensor.shape[0] if tensor.dim() else 1
        self._sizes[name, kind] = (float(tensor.detach().abs().float().mean()), per_sequence)

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._on or name not in self._roles:
            return
        self._inputs[name] = _detached(args, kwargs)  # the graph's hooks know the recorder: it must not know them
        given = _tensor(args or tuple(kwargs.values()))
        if given is not None and given.requires_grad:
            given.register_hook(lambda g: self._note(name, "input_gradient", g))  # type: ignore[no-untyped-call]

    def _leave(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        tensor = _tensor(output)
        if not self._on or tensor is None:
            return
        self._note(name, "activation", tensor)
        if tensor.requires_grad:
            tensor.register_hook(lambda g: self._note_gradient(name, g))  # type: ignore[no-untyped-call]
        if name in self._roles:
            self._outputs[name] = tensor.detach()

    def _note_gradient(self, name: str, gradient: Tensor) -> None:
        self._note(name, "gradient", gradient)
        if name in self._roles:
            self._asked[name] = gradient.detach()


def _owner(model: nn.Module, parameter: str) -> str:
    """The module that is called with this parameter; nn.MultiheadAttention never calls its out_proj."""
    module, _, _ = parameter.rpartition(".")
    parent = module.rpartition(".")[0]
    return parent if module and isinstance(model.get_submodule(parent), nn.MultiheadAttention) else module or MODEL


def _aligned(change: Tensor, gradient: Tensor) -> float:
    """How far a change goes the way the loss asks for: its mean along −sign(∂loss/∂output), weighed by |∂loss/∂output|.

    An output's change is Σ ΔW·x over its inputs: a part that adds up, ∝ n·ρ, and a random one, ∝ √(n·ρ). Rules are made
    for the first, and over few weights the second is no smaller: at n·ρ = 8 it gives mean |change| a slope of −0.26 in
    density though every LR is right. It has no mean along the gradient, so this projection sees the first part alone.
    """
    asked = float(gradient.abs().sum())
    return -float((gradient * change).sum()) / asked if asked else 0.0


def _tensor(value: Any) -> Tensor | None:
    """The floating tensor of an output: itself, or the first in a tuple or a Hugging Face output."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((v for v in value if isinstance(v, Tensor) and v.is_floating_point()), None)
    return None


def _detached(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def cut(value: Any) -> Any:
        return value.detach() if isinstance(value, Tensor) else value

    return tuple(cut(a) for a in args), {k: cut(v) for k, v in kwargs.items()}
