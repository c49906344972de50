"""The program of a shape: one training step and one evaluation in which everything but the shape is data.

A program is built once and serves every trial of its shape: LR, initial weights, masks, multipliers, decay, ε, betas
and the schedule are written into its tensors. With `stack` K it trains K trials side by side (`torch.func.vmap`), each
with its own clip, its own divergence and its own batches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from hptransfer.errors import InputError, WorkError
from hptransfer.specs import OptimizerName
from hptransfer.training.build import TrialTensors, check_logits
from hptransfer.training.compiling import compile_program, trace
from hptransfer.training.graphs import captured
from hptransfer.training.layout import Layout
from hptransfer.training.optimizers import STEP_NUMBERS, Hyper, adamw, momenta_of, sgd
from hptransfer.training.settings import WorkerSettings
from hptransfer.trial import Trial

__all__ = ["CannotStackError", "Program", "next_token_loss"]

Sheets = tuple[Tensor, ...]

CLIP_EPS = 1e-6
"""As in `torch.nn.utils.clip_grad_norm_`."""


class CannotStackError(WorkError):
    """The model does not go through vmap; its trials are trained one at a time."""


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats a token, in fp32 whatever the logits are."""
    return F.cross_entropy(logits.float().flatten(0, -2), targets.flatten())


def make_step(
    model: nn.Module, layout: Layout, optimizer: OptimizerName, vocab_size: int, autocast: Callable[[], Any]
) -> Callable[..., tuple[Tensor, Tensor, Sheets, tuple[Sheets, ...]]]:
    """One training step of one trial, without side effects.

    Maps (sheets, momenta, masks, hyper, buffers, numbers, ceiling, alive, batch) to (loss, alive, new sheets, new
    momenta). A trial that is no longer alive keeps its weights.
    """
    update = adamw if optimizer == "adamw" else sgd

    def loss_of(parameters: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor) -> Tensor:
        with autocast():
            logits = functional_call(model, {**parameters, **buffers}, (batch[:, :-1],))
        check_logits(model, logits, batch[:, 1:], vocab_size)
        return next_token_loss(logits, batch[:, 1:])

    def step(
        sheets: Sheets,
        momenta: tuple[Sheets, ...],
        masks: Sheets,
        hyper: Sequence[tuple[Tensor, Tensor, Tensor]],
        buffers: dict[str, Tensor],
        numbers: Tensor,
        ceiling: Tensor,
        alive: Tensor,
        batch: Tensor,
    ) -> tuple[Tensor, Tensor, Sheets, tuple[Sheets, ...]]:
        gradients, loss = grad_and_value(loss_of)(layout.views(sheets), buffers, batch)
        remaining = iter(masks)
        masked = [
            g * next(remaining) if has else g for g, has in zip(layout.gather(gradients), layout.masked, strict=True)
        ]
        n = dict(zip(STEP_NUMBERS, numbers.unbind(), strict=True))
        norm = torch.stack([g.square().sum() for g in masked]).sum().sqrt()
        shrink = (n["clip"] / (norm + CLIP_EPS)).clamp(max=1.0)
        alive = alive & (loss < ceiling)
        new_sheets, new_momenta = [], []
        for sheet, gradient, old, (lr, decay, eps) in zip(sheets, masked, momenta, hyper, strict=True):
            now = Hyper(lr * n["lr_factor"], decay, eps, n["beta1"], n["beta2"], n["unbias1"], n["unbias2"])
            # A row without LR does not gather momentum either. One clip a row, not a scalar, also keeps this loop in
            # the shape of the next, so that the compiler makes one pass over weights and momenta of the two.
            new, *moments = update(sheet, gradient * (shrink * (lr > 0)), old, now)
            new_sheets.append(torch.where(alive, new, sheet))
            new_momenta.append(tuple(moments))
        return loss, alive, tuple(new_sheets), tuple(new_momenta)

    return step


class Program:
    """The tensors of K trials in training and the compiled step over them.

    Slots are filled by `load`; `step` advances all of them in place.
    """

    def __init__(
        self,
        trial: Trial,
        model: nn.Module,
        layout: Layout,
        example: TrialTensors,
        *,
        vocab_size: int,
        stack: int,
        device: torch.device,
        settings: WorkerSettings,
        compiled: bool,
    ) -> None:
        t = trial.training
        self.layout, self.stack, self.device, self.vocab_size = layout, stack, device, vocab_size
        self.model, self.eval_model = model.train(), copy.deepcopy(model).eval()
        own = {name: b.detach() for name, b in model.named_buffers() if not b.is_meta}
        example = TrialTensors(example.sheets, example.masks, example.hyper, {**own, **example.buffers})
        self.own_buffers = own

        def room(x: Tensor) -> Tensor:
            return torch.zeros((stack, *x.shape), dtype=x.dtype, device=device)

        self.sheets = tuple(room(s) for s in example.sheets)
        self.momenta = tuple(tuple(room(s) for _ in range(momenta_of(t.optimizer))) for s in example.sheets)
        self.masks = tuple(room(m) for m in example.masks)
        self.hyper = tuple(tuple(room(c) for c in columns) for columns in example.hyper)
        self.buffers = {name: room(b) for name, b in example.buffers.items()}
        for name, value in example.buffers.items():
            self.buffers[name].copy_(value)  # a first run may come before any trial, and indices must be some
        self.numbers = torch.zeros(stack, len(STEP_NUMBERS), device=device)
        self.ceiling = torch.zeros(stack, device=device)
        self.alive = torch.zeros(stack, dtype=torch.bool, device=device)
        self.batch = torch.zeros(stack, t.batch_size, t.sequence_length + 1, dtype=torch.long, device=device)
        self.note = ""
        enabled = t.precision == "bf16"
        step = make_step(
            self.model,
            layout,
            t.optimizer,
            vocab_size,
            lambda: torch.autocast(device.type, torch.bfloat16, enabled=enabled),
        )
        self._step = self._bind(step, settings, compiled)

    def load(self, slot: int, tensors: TrialTensors) -> None:
        """Put a fresh trial into a slot."""
        for room, value in zip(self.sheets, tensors.sheets, strict=True):
            room[slot].copy_(value)
        for moments in self.momenta:
            for room in moments:
                room[slot].zero_()
        for room, value in zip(self.masks, tensors.masks, strict=True):
            room[slot].copy_(value)
        for rooms, columns in zip(self.hyper, tensors.hyper, strict=True):
            for room, value in zip(rooms, columns, strict=True):
                room[slot].copy_(value)
        for name, value in {**self.own_buffers, **tensors.buffers}.items():
            self.buffers[name][slot].copy_(value)
        self.ceiling[slot] = torch.inf
        self.alive[slot] = True

    def step(self, batch: Tensor, numbers: Tensor) -> Tensor:
        """One step on `batch` (K, B, T + 1) with `numbers` (K, 6); the losses (K,) before the update."""
        self.batch.copy_(batch)
        self.numbers.copy_(numbers)
        return self._step().view(self.stack)

    def evaluate(self, batches: Sequence[Tensor]) -> Tensor:
        """Mean loss (K,) over `batches`, each (B, T + 1), in fp32 and without dropout."""
        rows = [s if self.stack > 1 else s[0] for s in self.sheets]
        buffers = {name: b if self.stack > 1 else b[0] for name, b in self.buffers.items()}
        score = vmap(self._held_out, in_dims=(0, 0, None)) if self.stack > 1 else self._held_out
        with torch.no_grad():
            losses = [score(rows, buffers, batch.to(self.device)).double() for batch in batches]
        return torch.stack(losses).mean(0).view(self.stack)

    def state(self, slot: int) -> dict[str, Tensor]:
        """What changes during training, by name; views of a slot."""
        named = {f"sheet.{i}": s[slot] for i, s in enumerate(self.sheets)}
        for i, moments in enumerate(self.momenta):
            named.update({f"momentum.{i}.{j}": m[slot] for j, m in enumerate(moments)})
        named.update({f"buffer.{name}": self.buffers[name][slot] for name in self.own_buffers})
        return {**named, "ceiling": self.ceiling[slot], "alive": self.alive[slot]}

    @property
    def bytes(self) -> int:
        """Bytes of all tensors held."""
        tensors = [*self.sheets, *self.masks, *self.buffers.values(), self.batch, self.numbers]
        tensors += [t for group in (*self.momenta, *self.hyper) for t in group]
        return sum(t.numel() * t.element_size() for t in tensors)

    def _held_out(self, sheets: Sequence[Tensor], buffers: dict[str, Tensor], batch: Tensor) -> Tensor:
        logits = functional_call(self.eval_model, {**self.layout.views(sheets), **buffers}, (batch[:, :-1],))
        return next_token_loss(logits, batch[:, 1:])

    def _arguments(self) -> tuple[Any, ...]:
        everything = (
            self.sheets,
            self.momenta,
            self.masks,
            self.hyper,
            self.buffers,
            self.numbers,
            self.ceiling,
            self.alive,
            self.batch,
        )
        if self.stack > 1:
            return everything
        return torch.utils._pytree.tree_map(lambda x: x[0], everything)  # type: ignore[no-any-return]

    def _bind(self, step: Callable[..., Any], settings: WorkerSettings, compiled: bool) -> Callable[[], Tensor]:
        if self.stack > 1:
            step = vmap(step)  # which refuses random numbers: they would depend on what else is in the stack

        def advance(*arguments: Any) -> Tensor:
            sheets, momenta, *_, alive, _ = arguments
            loss, still, new_sheets, new_momenta = step(*arguments)
            for old, new in zip(sheets, new_sheets, strict=True):
                old.copy_(new)
            for olds, news in zip(momenta, new_momenta, strict=True):
                for old, new in zip(olds, news, strict=True):
                    old.copy_(new)
            alive.copy_(still)
            return loss  # type: ignore[no-any-return]

        arguments = self._arguments()
        if self.stack > 1:
            try:
                trace(step, arguments)
            except (InputError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # a user's model may fail under vmap with anything
                raise CannotStackError(f"{type(error).__name__}: {str(error).strip()[:200]}") from error
        if not compiled:

            def eager() -> Tensor:
                with torch.no_grad():
                    return advance(*arguments)

            return eager
        program, self.note = compile_program(advance, arguments, settings)
        if self.device.type != "cuda" or self.note:
            return program
        try:
            return captured(program)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # a model that reads from the host cannot be recorded
            self.note = f"no CUDA graph ({str(error).strip().splitlines()[0][:120]})"
            return program
