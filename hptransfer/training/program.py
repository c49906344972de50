"""The program of a shape: one training step and one evaluation in which everything but the shape is data.

A program is built once and serves every trial of its shape: LR, initial weights, masks, multipliers, decay, ε, betas
and the schedule are written into its tensors. With `stack` K it trains K trials side by side (`torch.func.vmap`), each
with its own clip, its own divergence and its own batches. With `micro_batches` M it works a batch off in M parts, of
which it holds one at a time.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils import _pytree as pytree

from hptransfer.common.errors import InputError, WorkError
from hptransfer.common.seams import TASKS
from hptransfer.study.trial import Trial
from hptransfer.tasks.base import Batch
from hptransfer.training.ask_task import batch_of, data_of
from hptransfer.training.build import TrialTensors, initial_state, make_skeleton
from hptransfer.training.compiling import compile_program, trace
from hptransfer.training.graphs import captured
from hptransfer.training.layout import Layout
from hptransfer.training.optimizers.parts import parts_of
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.step import Named, Sheets, make_gradient, make_loss, make_micro_step, make_step
from hptransfer.training.step_numbers import step_numbers

__all__ = ["CannotStackError", "Program"]


OF_GRADIENT = ("buffers", "batch")
OF_UPDATE = ("sheets", "momenta", "masks", "hyper", "numbers", "ceiling", "alive", "loss")
"""Names of a program's tensors that a step is a function of."""

Step = Callable[[Named], Named]


class CannotStackError(WorkError):
    """The model does not go through vmap; its trials are trained one at a time."""


class Program:
    """The tensors of K trials in training and the compiled step over them.

    Slots are filled by `load`; `step` advances all of them in place.
    """

    def __init__(
        self,
        trial: Trial,
        layout: Layout,
        stack: int,
        micro_batches: int,
        device: torch.device,
        settings: WorkerSettings,
        *,
        compiled: bool,
    ) -> None:
        t = trial.training
        self.layout, self.stack, self.micro_batches, self.device = layout, stack, micro_batches, device
        self.model = make_skeleton(trial, layout.as_values, device.type).train()
        self.eval_model = copy.deepcopy(self.model).eval()
        self.own_buffers = {name: b.detach() for name, b in self.model.named_buffers() if not b.is_meta}
        example = self._with_own_buffers(initial_state(trial, layout))

        def room(x: Tensor) -> Tensor:
            return torch.zeros((stack, *x.shape), dtype=x.dtype, device=device)

        parts, numbers = parts_of(t.optimizer), tuple(step_numbers(t, 0))
        kept = [parts[index].entry.moments for index in layout.optimizers]
        self.rooms: TrialTensors = pytree.tree_map(room, example)
        self.sheets, self.masks, self.hyper, self.buffers = self.rooms
        self.momenta = tuple(tuple(room(s) for _ in range(n)) for s, n in zip(example.sheets, kept, strict=True))
        for name, value in example.buffers.items():
            self.buffers[name].copy_(value)  # a first run may come before any trial, and indices must be some
        self.numbers = torch.zeros(stack, len(numbers), device=device)
        self.ceiling = torch.zeros(stack, device=device)
        self.alive = torch.zeros(stack, dtype=torch.bool, device=device)
        self.batch: Batch = pytree.tree_map(lambda x: room(x[: len(x) // micro_batches]), batch_of(trial, 0))
        self.loss = torch.zeros(stack, device=device)
        self.gradients = tuple(room(s) for s in example.sheets) if micro_batches > 1 else ()
        self.note = f"{micro_batches} micro-batches per step, for memory" if micro_batches > 1 else ""

        task, data = TASKS.get(trial.task), data_of(trial)
        precision = functools.partial(torch.autocast, device.type, torch.bfloat16, enabled=t.precision == "bf16")
        self._score = make_loss(self.eval_model, task, data, nullcontext, trial.task)
        self._gradient = make_gradient(make_loss(self.model, task, data, precision, trial.task), layout)
        bind = functools.partial(self._bind, settings=settings, compiled=compiled)
        self._finish: Callable[[], None] | None = None
        if micro_batches == 1:
            self._work_off = bind(make_step(self._gradient, layout, parts, numbers), (*OF_UPDATE, *OF_GRADIENT))
        else:
            accumulate, finish = make_micro_step(self._gradient, layout, parts, numbers, micro_batches)
            self._work_off = bind(accumulate, ("sheets", "loss", "gradients", *OF_GRADIENT))
            self._finish = bind(finish, (*OF_UPDATE, "gradients"))

    def load(self, slot: int, tensors: TrialTensors) -> None:
        """Put a fresh trial into a slot."""
        pytree.tree_map_(lambda room, value: room[slot].copy_(value), self.rooms, self._with_own_buffers(tensors))
        pytree.tree_map_(lambda room: room[slot].zero_(), self.momenta)
        self.ceiling[slot] = torch.inf
        self.alive[slot] = True

    def step(self, batch: Batch, numbers: Tensor) -> Tensor:
        """One step on `batch` (K examples-first batches) with `numbers` (K, …); the losses (K,) before the update."""
        self.numbers.copy_(numbers)
        self.loss.zero_()
        for total in self.gradients:
            total.zero_()
        for part in _cut(batch, self.micro_batches, dim=1):
            pytree.tree_map(Tensor.copy_, self.batch, part)
            self._work_off()
        if self._finish is not None:
            self._finish()
        return self.loss.clone()

    def evaluate(self, batches: Sequence[Batch]) -> Tensor:
        """Mean loss (K,) over all examples of `batches`, in fp32 and without dropout."""
        parts = [part for batch in batches for part in _cut(batch, self.micro_batches)]
        with torch.no_grad():
            losses = [self._scores(self._moved(part)).double() for part in parts]
        sizes = torch.tensor([_examples(part) for part in parts], dtype=torch.float64, device=self.device)
        shares = (sizes / sizes.mean()).view(-1, 1)  # of equal parts exactly 1
        return (torch.stack(losses) * shares).mean(0)

    def _scores(self, batch: Batch) -> Tensor:
        """The loss (K,) of every slot on a batch."""
        if self.stack > 1:
            try:
                return vmap(self._held_out, in_dims=(0, 0, None))(self.sheets, self.buffers, batch)
            except RuntimeError as error:  # torch's LSTM has a rule for vmap only while it trains
                if "Batching rule not implemented" not in str(error):
                    raise
        slots = (
            ([s[slot] for s in self.sheets], {name: b[slot] for name, b in self.buffers.items()})
            for slot in range(self.stack)
        )
        return torch.stack([self._held_out(sheets, buffers, batch) for sheets, buffers in slots])

    def dense_gradient(self, slot: int, batch: Batch) -> dict[str, Tensor]:
        """The gradient of a slot's weights on `batch`, by parameter, where the mask hides them too. Not compiled."""
        buffers = {name: b[slot] for name, b in self.buffers.items()}
        named: Named = {"sheets": tuple(s[slot] for s in self.sheets), "buffers": buffers}
        total: Sheets = ()
        with torch.no_grad():
            for part in _cut(batch, self.micro_batches):
                _, sheets = self._gradient({**named, "batch": self._moved(part)})
                total = tuple(a + b for a, b in zip(total, sheets, strict=True)) if total else sheets
        return {name: g / self.micro_batches for name, g in self.layout.views(total).items()}

    def state(self, slot: int, *, with_masks: bool = False) -> dict[str, Tensor]:
        """What changes during training, by name; views of a slot."""
        named = {f"sheet.{i}": s[slot] for i, s in enumerate(self.sheets)}
        for i, moments in enumerate(self.momenta):
            named.update({f"momentum.{i}.{j}": m[slot] for j, m in enumerate(moments)})
        if with_masks:
            named.update({f"mask.{i}": m[slot] for i, m in enumerate(self.masks)})
        named.update({f"buffer.{name}": self.buffers[name][slot] for name in self.own_buffers})
        return {**named, "ceiling": self.ceiling[slot], "alive": self.alive[slot]}

    @property
    def bytes(self) -> int:
        """Bytes of all tensors held."""
        held = (self.rooms, self.momenta, self.gradients, self.batch, self.numbers)
        return sum(t.numel() * t.element_size() for t in pytree.tree_leaves(held))

    def _with_own_buffers(self, tensors: TrialTensors) -> TrialTensors:
        """Beside the trial's buffers those that the model itself computed when it was built."""
        return tensors._replace(buffers={**self.own_buffers, **tensors.buffers})

    def _moved(self, batch: Batch) -> Batch:
        return pytree.tree_map(lambda x: x.to(self.device), batch)

    def _held_out(self, sheets: Sequence[Tensor], buffers: dict[str, Tensor], batch: Batch) -> Tensor:
        return self._score(self.layout.views(sheets), buffers, batch)

    # --- from a step to what runs it

    def _bind(
        self, function: Step, names: Sequence[str], *, settings: WorkerSettings, compiled: bool
    ) -> Callable[[], None]:
        """The function of this program's tensors of those names, its results written back into them."""
        tensors: Named = {name: getattr(self, name) for name in names}
        if self.stack == 1:
            tensors = pytree.tree_map(lambda x: x[0], tensors)
        else:
            function = _stacked(function, tensors)

        def advance(given: Named) -> None:
            for name, new in function(given).items():
                pytree.tree_map(Tensor.copy_, given[name], new)

        def eager() -> None:
            with torch.no_grad():
                advance(tensors)

        if not compiled:
            return eager
        program, note = compile_program(advance, [tensors], settings)
        if self.device.type == "cuda" and not note:
            program, note = _recorded(program)
        self.note = "; ".join(filter(None, dict.fromkeys((self.note, note))))
        return program


def _examples(batch: Batch) -> int:
    return len(pytree.tree_leaves(batch)[0])


def _cut(batch: Batch, parts: int, dim: int = 0) -> list[Batch]:
    """Parts of a batch along its examples, equal where their number divides it."""
    if parts == 1:
        return [batch]
    leaves, form = pytree.tree_flatten(batch)
    cut = zip(*(x.chunk(parts, dim=dim) for x in leaves), strict=True)
    return [pytree.tree_unflatten(list(part), form) for part in cut]


def _stacked(function: Step, tensors: Named) -> Step:
    """The function over trials side by side; refuses a model that cannot be mapped so."""
    mapped: Step = vmap(function)  # which refuses random numbers: they would depend on what else is in the stack
    try:
        trace(mapped, [tensors])
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a user's model may fail under vmap with anything
        raise CannotStackError(f"{type(error).__name__}: {str(error).strip()[:200]}") from error
    return mapped


def _recorded(program: Callable[[], None]) -> tuple[Callable[[], None], str]:
    """The program as a CUDA graph, or as it is and a note that says why."""
    try:
        return captured(program), ""
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # a model that reads from the host cannot be recorded
        return program, f"no CUDA graph ({str(error).strip().splitlines()[0][:120]})"
