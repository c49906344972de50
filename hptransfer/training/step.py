"""One training step of one trial, without side effects: from named tensors to new values of some of them.

The names are `sheets`, `momenta`, `masks`, `hyper` (lr, decay, eps a sheet), `buffers`, `numbers` (of this step, see
`optimizers`), `ceiling` (the loss beyond which a trial has diverged), `alive`, `batch` (B, T + 1) and `loss`; with
micro-batches `gradients` too, a sheet for each sheet. A trial that is no longer alive keeps its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from hptransfer.training.build import check_logits
from hptransfer.training.layout import Layout
from hptransfer.training.optimizers.base import Optimizer

__all__ = ["Named", "Sheets", "make_micro_step", "make_step", "next_token_loss"]

Sheets = tuple[Tensor, ...]
Named = dict[str, Any]

CLIP_EPS = 1e-6
"""As in `torch.nn.utils.clip_grad_norm_`."""


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats a token, in fp32 whatever the logits are."""
    return F.cross_entropy(logits.float().flatten(0, -2), targets.flatten())


def _gradient(
    model: nn.Module, layout: Layout, vocab_size: int, autocast: Callable[[], Any]
) -> Callable[[Named], tuple[Tensor, Sheets]]:
    """The loss on `batch` and its gradient, laid out like the sheets."""

    def loss_of(parameters: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor) -> Tensor:
        with autocast():
            logits = functional_call(model, {**parameters, **buffers}, (batch[:, :-1],))
        check_logits(model, logits, batch[:, 1:], vocab_size)
        return next_token_loss(logits, batch[:, 1:])

    def gradient(t: Named) -> tuple[Tensor, Sheets]:
        gradients, loss = grad_and_value(loss_of)(layout.views(t["sheets"]), t["buffers"], t["batch"])
        return loss, layout.gather(gradients)

    return gradient


def _update(layout: Layout, optimizer: Optimizer, numbers: Sequence[str]) -> Callable[[Named, Tensor, Sheets], Named]:
    """New `alive`, `sheets` and `momenta` by a loss and its gradient."""

    def update(t: Named, loss: Tensor, gradients: Sheets) -> Named:
        masks = iter(t["masks"])
        masked = [g * next(masks) if has else g for g, has in zip(gradients, layout.masked, strict=True)]
        n = dict(zip(numbers, t["numbers"].unbind(), strict=True))
        norm = torch.stack([g.square().sum() for g in masked]).sum().sqrt()
        shrink = (n["clip"] / (norm + CLIP_EPS)).clamp(max=1.0)
        alive = t["alive"] & (loss < t["ceiling"])
        sheets, momenta = [], []
        for sheet, gradient, old, (lr, decay, eps) in zip(t["sheets"], masked, t["momenta"], t["hyper"], strict=True):
            now = {**n, "lr": lr * n["lr_factor"], "decay": decay, "eps": eps}
            # A row without LR does not gather momentum either. One clip a row, not a scalar, also keeps this loop in
            # the shape of the next, so that the compiler makes one pass over weights and momenta of the two.
            new, *moments = optimizer.update(sheet, gradient * (shrink * (lr > 0)), old, now)
            sheets.append(torch.where(alive, new, sheet))
            momenta.append(tuple(moments))
        return {"alive": alive, "sheets": tuple(sheets), "momenta": tuple(momenta)}

    return update


def make_step(
    model: nn.Module,
    layout: Layout,
    optimizer: Optimizer,
    numbers: Sequence[str],
    vocab_size: int,
    autocast: Callable[[], Any],
) -> Callable[[Named], Named]:
    """A whole step at once: new `loss`, `alive`, `sheets` and `momenta`."""
    gradient, update = _gradient(model, layout, vocab_size, autocast), _update(layout, optimizer, numbers)

    def step(t: Named) -> Named:
        loss, gradients = gradient(t)
        return {"loss": loss, **update(t, loss, gradients)}

    return step


def make_micro_step(
    model: nn.Module,
    layout: Layout,
    optimizer: Optimizer,
    numbers: Sequence[str],
    vocab_size: int,
    autocast: Callable[[], Any],
    micro_batches: int,
) -> tuple[Callable[[Named], Named], Callable[[Named], Named]]:
    """The same step in parts: the first runs on every micro-batch and adds to `loss` and `gradients`, which are zero
    before; the second ends the step."""
    gradient, update = _gradient(model, layout, vocab_size, autocast), _update(layout, optimizer, numbers)

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
