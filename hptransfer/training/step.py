"""One training step of one trial, without side effects: from named tensors to new values of some of them.

The names are `sheets`, `momenta`, `masks`, `hyper` (lr, decay, eps per sheet), `buffers`, `numbers` (of this step, see
`step_numbers`), `ceiling` (the loss beyond which a trial has diverged), `alive`, `batch` (as its task has it) and
`loss`; with micro-batches `gradients` too, a sheet for each sheet. A trial that is no longer alive keeps its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from hptransfer.common.seams import TASKS
from hptransfer.tasks.base import Batch, Data, Task
from hptransfer.training.layout import Layout
from hptransfer.training.optimizers.parts import Part

__all__ = ["Gradient", "Loss", "Named", "Sheets", "make_gradient", "make_loss", "make_micro_step", "make_step"]

Sheets = tuple[Tensor, ...]
Named = dict[str, Any]
Loss = Callable[[dict[str, Tensor], dict[str, Tensor], Batch], Tensor]
"""The loss of (parameters, buffers, batch)."""
Gradient = Callable[[Named], tuple[Tensor, Sheets]]

CLIP_EPS = 1e-6
"""As in `torch.nn.utils.clip_grad_norm_`."""


def make_loss(model: nn.Module, task: Task, data: Data, autocast: Callable[[], Any], name: str) -> Loss:
    """What the model comes to on a batch of its task `name`. An output of the wrong form is refused, and a loss."""

    def loss_of(parameters: dict[str, Tensor], buffers: dict[str, Tensor], batch: Batch) -> Tensor:
        with autocast():
            output = functional_call(model, {**parameters, **buffers}, task.inputs(batch))
        task.check_output(model, output, batch, data)
        loss: Any = task.loss(output, batch)
        if not isinstance(loss, Tensor) or loss.shape != ():
            found = str(tuple(loss.shape)) if isinstance(loss, Tensor) else type(loss).__name__
            raise TASKS.breach(name, task, "`loss` gives a scalar tensor", f"; found {found}")
        return loss

    return loss_of


def make_gradient(loss_of: Loss, layout: Layout) -> Gradient:
    """The loss on `batch` and its gradient, laid out like the sheets."""

    def gradient(t: Named) -> tuple[Tensor, Sheets]:
        gradients, loss = grad_and_value(loss_of)(layout.views(t["sheets"]), t["buffers"], t["batch"])
        return loss, layout.gather(gradients)

    return gradient


def _update(layout: Layout, parts: Sequence[Part], numbers: Sequence[str]) -> Callable[[Named, Tensor, Sheets], Named]:
    """New `alive`, `sheets` and `momenta` by a loss and its gradient."""
    own = [[(name, name.partition(".")[2]) for name in numbers if name.startswith(f"{i}.")] for i in range(len(parts))]

    def update(t: Named, loss: Tensor, gradients: Sheets) -> Named:
        masks = layout.by_sheet(t["masks"])
        masked = [g if mask is None else g * mask for g, mask in zip(gradients, masks, strict=True)]
        n = dict(zip(numbers, t["numbers"].unbind(), strict=True))
        norm = torch.stack([g.square().sum() for g in masked]).sum().sqrt()
        shrink = (n["clip"] / (norm + CLIP_EPS)).clamp(max=1.0)
        alive = t["alive"] & (loss < t["ceiling"])
        sheets, momenta = [], []
        of_sheets = zip(t["sheets"], masked, masks, t["momenta"], t["hyper"], layout.optimizers, strict=True)
        for sheet, gradient, mask, old, (lr, decay, eps), index in of_sheets:
            now = {short: n[name] for name, short in own[index]}
            now |= {"lr": lr * n["lr_factor"], "decay": decay, "eps": eps}
            # A row without LR does not gather momentum either. One clip a row, not a scalar, also keeps this loop in
            # the shape of the next, so that the compiler makes one pass over weights and momenta of the two.
            new, moments = parts[index].updated(sheet, gradient * (shrink * (lr > 0)), old, now)
            if parts[index].whole and mask is not None:
                new = new * mask  # a whole matrix is moved in places where its gradient is zero
            sheets.append(torch.where(alive, new, sheet))
            momenta.append(moments)
        return {"alive": alive, "sheets": tuple(sheets), "momenta": tuple(momenta)}

    return update


def make_step(
    gradient: Gradient, layout: Layout, parts: Sequence[Part], numbers: Sequence[str]
) -> Callable[[Named], Named]:
    """A whole step at once: new `loss`, `alive`, `sheets` and `momenta`."""
    update = _update(layout, parts, numbers)

    def step(t: Named) -> Named:
        loss, gradients = gradient(t)
        return {"loss": loss, **update(t, loss, gradients)}

    return step


def make_micro_step(
    gradient: Gradient, layout: Layout, parts: Sequence[Part], numbers: Sequence[str], micro_batches: int
) -> tuple[Callable[[Named], Named], Callable[[Named], Named]]:
    """The same step in parts: the first runs on every micro-batch and adds to `loss` and `gradients`, which are zero
    before; the second ends the step."""
    update = _update(layout, parts, numbers)

    def accumulate(t: Named) -> Named:
        loss, gradients = gradient(t)
        pairs = zip(t["gradients"], gradients, strict=True)
        return {
            "loss": t["loss"] + loss / micro_batches,
            "gradients": tuple(total + new / micro_batches for total, new in pairs),
        }

    def finish(t: Named) -> Named:
        return update(t, t["loss"], t["gradients"])

    return accumulate, finish
