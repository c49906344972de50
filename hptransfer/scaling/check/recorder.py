"""Hooks that record the size of every module's activation, gradient and update while a model trains, and of scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from hptransfer.scaling.build_model import MARK
from hptransfer.scaling.check.scores import ShowScores, unmasked
from hptransfer.scaling.rules import VECTORS
from hptransfer.scaling.table import TensorScale

__all__ = ["MODEL", "Recorder"]

MODEL = "(model)"
"""Name under which the model's own output is recorded."""

OF_SCORES = " (scores)"
"""Behind the name of the module in which a softmax acts: the row of what goes into it."""

_Call = tuple[tuple[Any, ...], dict[str, Any]]
_SCALE = f"{MARK}multiplier_output"
_LITTLE = 2.0**-6
"""Of the first step so much is taken to see what it changes. The change is then as good as proportional to the LR, as a
rule's exponents are. Of a whole step it need not be: what a norm keeps, as of queries and keys, turns and can do no
more, so that at an LR found by a search the scores of a right model had a slope of +0.18 over density."""
_SUMS = ("hidden", "residual", "readout")
"""Roles whose output is a sum over inputs that grow in number. An embedding looks a row up."""


class Recorder:
    """Records one training step at a time: `begin`, forward, `look_at` the loss, backward, `end`, step,
    `measure_update`, `rows`.

    A module called several times in one pass is recorded at its last call. What makes queries that a rule scales is
    recorded before that scale, whose effect is on the scores. Where a module has several matrices, as a recurrent cell
    or a stack of experts has, each has rows of its own besides, named after both: what of the output is gone without
    it, and how the output moves when it alone does. In the module's own rows one matrix hides behind another.
    """

    def __init__(self, model: nn.Module, table: Sequence[TensorScale]) -> None:
        self._model = model
        self._roles: dict[str, str] = {}
        self._matrices: dict[str, TensorScale] = {}
        owned: dict[str, dict[str, str]] = {}
        for scale in table:
            for use in scale.uses:
                if use.role not in VECTORS:
                    owner = _owner(model, use.name)
                    self._roles[owner] = use.role
                    self._matrices[owner] = scale
                    owned.setdefault(owner, {})[use.name] = use.role
        self._parts = {
            f"{owner} ({name.removeprefix(f'{owner}.')})": (owner, name, role)
            for owner, roles in owned.items()
            for name, role in roles.items()
            if len(roles) > 1
        }
        """Matrices that share a module: it, the parameter and its role, by the name of their row."""
        self._modules = {name or MODEL: module for name, module in model.named_modules()}
        queries = [s for s in table if s.multiplier_at == "output" and s.role not in ("embedding", "residual")]
        owners = [_owner(model, scale.name) for scale in queries]
        self._scales: dict[str, Tensor] = {name: getattr(self._modules[name], _SCALE) for name in owners}
        self._show = ShowScores(self._see_scores)
        self._running = [MODEL]
        """The modules that are being called, the innermost last."""
        self._on = False
        # What each module was given and gave, to be repeated with the updated weights.
        self._inputs: dict[str, _Call] = {}
        self._outputs: dict[str, Tensor] = {}
        self._asked: dict[str, Tensor] = {}
        """∂loss/∂output of each module with a matrix, and ∂loss/∂scores."""
        self._scores: dict[str, Tensor] = {}
        self._again: dict[str, Tensor] | None = None
        """Scores after the step, while they are looked at."""
        self._stops = False
        """Whether a backward pass is to stop at scores."""
        self._around: dict[tuple[str, str], float] = {}
        """Size of a gradient that comes around the scores: of all of it where it does not come through any."""
        self._before: dict[str, Tensor] = {}
        """Every parameter before the optimizer's step."""
        self._sizes: dict[tuple[str, str], tuple[float, int]] = {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The hooks, for as long as they are needed."""
        handles = []
        for name, module in self._modules.items():
            enter, leave = partial(self._enter, name), partial(self._leave, name)
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True, prepend=True))
            handles.append(module.register_forward_hook(leave, always_call=True))
        try:
            with self._show:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def begin(self) -> None:
        """Forget the last step and listen."""
        self._on = True
        by_name = (self._inputs, self._outputs, self._asked, self._sizes, self._scores, self._around)
        for known in by_name:
            known.clear()

    def look_at(self, loss: Tensor) -> None:
        """Before the backward pass another one, which stops at the scores: what comes around them."""
        if self._scores:
            self._stops = True
            asked = [p for p in self._model.parameters() if p.requires_grad]
            torch.autograd.grad(loss, asked, retain_graph=True, allow_unused=True)
            self._stops = False

    def end(self) -> None:
        """Stop listening."""
        self._on = False

    def keep_weights(self) -> None:
        """Remember the weights as they are before the optimizer's step."""
        self._before = self._weights()
        with torch.no_grad():
            for row, (owner, name, _) in self._parts.items():
                self._model.get_parameter(name).zero_()
                if (without := self._once_more(owner)) is not None:
                    self._note(row, "activation", self._outputs[owner] - without)
                self._set(self._before)

    @torch.no_grad()
    def measure_update(self) -> None:
        """Repeat each module on the input it had, a little of the step taken, and compare; of a whole step's size."""
        after = self._weights()
        part = {name: torch.lerp(before, after[name], _LITTLE) for name, before in self._before.items()}
        self._set(part)
        for name, scale in self._matrices.items():
            change = (after[scale.name] - self._before[scale.name]).abs().sum() / scale.nonzeros
            self._sizes[name, "weight_update"] = (float(change), after[scale.name].numel())
            if (again := self._once_more(name)) is not None:
                change = (again - self._outputs[name]) / _LITTLE
                self._note(name, "update", change)
                if name in self._asked and self._roles[name] in _SUMS:
                    self._note_aligned(name, change, self._asked[name])
        self._measure_scores()
        self._measure_parts(part)
        self._set(after)

    def _measure_parts(self, stepped: Mapping[str, Tensor]) -> None:
        """Of matrices that share a module, how its output moves when one of them, and nothing else in it, does."""
        for row, (owner, name, _) in self._parts.items():
            self._set(self._before | {name: stepped[name]})
            again = self._once_more(owner)
            if again is not None and owner in self._asked:
                self._note_aligned(row, (again - self._outputs[owner]) / _LITTLE, self._asked[owner])

    def _weights(self) -> dict[str, Tensor]:
        """A copy of every parameter."""
        return {name: p.detach().clone() for name, p in self._model.named_parameters()}

    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._model.get_parameter(name).copy_(value)

    def _once_more(self, name: str) -> Tensor | None:
        """What a module gives now, of the input it had; None where it was not called."""
        if name not in self._outputs:
            return None
        args, kwargs = self._inputs[name]
        again = _tensor(self._modules[name](*args, **kwargs))
        return None if again is None else self._before_scale(name, again)

    def _measure_scores(self) -> None:
        """Repeat each module in which a softmax acts, every matrix within it on the input it had, and compare what
        goes into the softmax."""
        for owner in dict.fromkeys(map(_module_of, self._scores)):
            again = self._scores_again(owner)
            for name, scores in self._scores.items():
                if name in again and again[name].shape == scores.shape and name in self._asked:
                    change = (unmasked(again[name]) - unmasked(scores)) / _LITTLE
                    self._note_aligned(name, change, self._asked[name])

    def _scores_again(self, owner: str) -> dict[str, Tensor]:
        """What goes into the softmaxes of a module with its new weights. What follows the last of them is not run: a
        router may send other tokens on than those that its experts were given."""
        args, kwargs = self._inputs[owner]
        again: dict[str, Tensor] = {}
        self._again = again
        try:
            self._modules[owner](*args, **kwargs)
        except _AllSeenError:
            pass
        finally:
            self._again = None
            del self._running[1:]
        return again

    def rows(self) -> list[Mapping[str, Any]]:
        """One row a module and kind."""
        scores = max(map(_per_sequence, self._scores.values()), default=0)
        return [
            {"module": name, "kind": kind, "value": value, "features": features, "role": self._role(name)}
            | {"scores": scores, "around": self._around.get((name, kind), math.nan)}
            for (name, kind), (value, features) in self._sizes.items()
        ]

    def _role(self, name: str) -> str:
        if name in self._parts:
            return self._parts[name][2]
        return "scores" if OF_SCORES in name else self._roles.get(name, "")

    def _note(self, name: str, kind: str, tensor: Tensor) -> None:
        self._sizes[name, kind] = (float(tensor.detach().abs().float().mean()), _per_sequence(tensor))

    def _note_aligned(self, name: str, change: Tensor, asked: Tensor) -> None:
        self._sizes[name, "aligned_update"] = (_aligned(change, asked), _per_sequence(change))

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
        """Note what a module is given; while scores are looked at again, hand a matrix what it was given before."""
        self._running.append(name)
        if self._again is not None and name in self._roles:
            return self._inputs.get(name)
        if not self._on:
            return None
        self._inputs[name] = _detached(args, kwargs)  # the graph's hooks know the recorder: it must not know them
        if name not in self._roles:
            return None
        given = _tensor(args or tuple(kwargs.values()))
        if given is not None and given.requires_grad:
            given.register_hook(lambda g: self._note_size(name, "input_gradient", g))  # type: ignore[no-untyped-call]
        return None

    def _leave(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        self._running.pop()
        tensor = _tensor(output)
        if not self._on or tensor is None:
            return
        plain = self._before_scale(name, tensor.detach())
        self._note(name, "activation", plain)
        if tensor.requires_grad:
            tensor.register_hook(lambda g: self._note_gradient(name, g))  # type: ignore[no-untyped-call]
        if name in self._roles:
            self._outputs[name] = plain

    def _see_scores(self, scores: Tensor) -> None:
        known = self._scores if self._again is None else self._again
        name, count = f"{self._running[-1]}{OF_SCORES}", 1
        while name in known:
            name, count = f"{self._running[-1]}{OF_SCORES} {count + 1}", count + 1
        if self._again is not None:
            self._again[name] = scores.detach()
            if all(n in self._again for n in self._scores if _module_of(n) == self._running[-1]):
                raise _AllSeenError
        elif self._on:
            self._scores[name] = scores.detach()
            self._note(name, "activation", self._show.learned(scores))
            if scores.requires_grad:
                scores.register_hook(lambda g: self._stop_or_note(name, g))  # type: ignore[no-untyped-call]

    def _before_scale(self, name: str, output: Tensor) -> Tensor:
        return output / self._scales[name] if name in self._scales else output

    def _stop_or_note(self, name: str, gradient: Tensor) -> Tensor | None:
        if self._stops:
            return torch.zeros_like(gradient)
        self._note_gradient(name, gradient)
        return None

    def _note_gradient(self, name: str, gradient: Tensor) -> None:
        asked = gradient.detach() * self._scales.get(name, 1.0)
        self._note_size(name, "gradient", asked)
        if not self._stops and (name in self._roles or name in self._scores):
            self._asked[name] = asked

    def _note_size(self, name: str, kind: str, gradient: Tensor) -> None:
        if self._stops:
            self._around[name, kind] = float(gradient.detach().abs().float().mean())
        else:
            self._note(name, kind, gradient)


class _AllSeenError(Exception):
    """Ends a forward pass of which nothing further is asked."""


def _module_of(scores: str) -> str:
    return scores.partition(OF_SCORES)[0]


def _per_sequence(tensor: Tensor) -> int:
    return tensor.numel() // tensor.shape[0] if tensor.dim() else 1


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


def _detached(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    def cut(value: Any) -> Any:
        return value.detach() if isinstance(value, Tensor) else value

    given: _Call = pytree.tree_map(cut, (args, kwargs))
    return given
