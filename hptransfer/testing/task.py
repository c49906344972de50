"""What holds for every task (`hptransfer.tasks.base`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.common.errors import HptransferError, InputError
from hptransfer.common.seams import TASKS
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.tasks.base import Batch, Task
from hptransfer.tasks.models.factory import resolve_factory
from hptransfer.testing.contract import Entry, entry_of, expect, hold, random_numbers_untouched
from hptransfer.training.ask_task import batch_shape

__all__ = ["check_task"]

CHANCE = 0.1
"""Share by which a model that says nothing may miss the chance level."""


def check_task(
    task: object,
    data: DataSpec | None = None,
    model: ModelSpec | None = None,
    training: TrainingSpec | None = None,
    *,
    width: int = 16,
) -> None:
    """Hold a task, by name or as it is, to every rule; raises ContractError.

    `data` and `model` are what a study of this task would say, and small.
    """
    entry = entry_of(TASKS, task)
    small = TrainingSpec(steps=4, batch_size=4, sequence_length=8, eval_tokens=64, precision="fp32")
    hold(entry, RULES, Case(entry, data or DataSpec(), model or ModelSpec(), training or small, width))


@dataclass(frozen=True)
class Case:
    """What a task is tried on."""

    entry: Entry
    spec: DataSpec
    model_spec: ModelSpec
    training: TrainingSpec
    width: int

    @cached_property
    def data(self) -> Any:
        """The opened data."""
        return self.entry.thing.open(self.spec)

    @cached_property
    def model(self) -> nn.Module:
        """A model of the size asked for, on the data's own arguments."""
        arguments = self.entry.thing.model_arguments(self.data, self.training)
        torch.manual_seed(0)
        return resolve_factory(self.model_spec, arguments)(width=self.width)

    def batch(self, seed: int = 0, step: int = 0) -> Batch:
        """A training batch."""
        return self.entry.thing.batch(self.data, seed, step, self.training)

    def output(self, batch: Batch) -> Any:
        """What the model answers to a batch."""
        return self.model(*self.entry.thing.inputs(batch))


def _tensors(batch: Batch) -> list[Tensor]:
    found = list(batch.values()) if isinstance(batch, dict) else list(batch) if isinstance(batch, tuple) else [batch]
    for tensor in found:
        expect(isinstance(tensor, Tensor), f"a {type(tensor).__name__} in a batch")
    return found


def _cut(batch: Batch, first: int, last: int) -> Batch:
    if isinstance(batch, dict):
        return {name: tensor[first:last] for name, tensor in batch.items()}
    return tuple(tensor[first:last] for tensor in batch) if isinstance(batch, tuple) else batch[first:last]


def _equal(one: Batch, other: Batch) -> bool:
    first, second = _tensors(one), _tensors(other)
    return len(first) == len(second) and all(map(torch.equal, first, second))


def _outputs(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict | tuple | list):
        for part in output.values() if isinstance(output, dict) else output:
            yield from _outputs(part)


def _silent(output: Any) -> Any:
    """An output of the same form that says nothing."""
    if isinstance(output, Tensor):
        return output * 0
    if isinstance(output, dict):
        return {name: _silent(part) for name, part in output.items()}
    return type(output)(_silent(part) for part in output)


def it_says_its_unit(task: Task, case: Case) -> None:
    """`unit` is the loss's unit in words."""
    expect(isinstance(task.unit, str) and task.unit.strip(), f"unit = {task.unit!r}")


def data_has_one_fingerprint(task: Task, case: Case) -> None:
    """`open` gives data whose `fingerprint` is a text, and the same when the data is opened again."""
    first, second = case.data.fingerprint, task.open(case.spec).fingerprint
    expect(isinstance(first, str) and first, f"fingerprint = {first!r}")
    expect(first == second, f"'{first}' at first, then '{second}'")
    expect(task.open(case.spec, first).fingerprint == first, "another one where it is expected")


def other_data_is_refused(task: Task, case: Case) -> None:
    """`open` refuses (InputError or WorkError) data whose fingerprint is not the expected one."""
    try:
        task.open(case.spec, "another fingerprint")
    except HptransferError:
        return
    expect(False, "data was opened although another fingerprint was expected")


def arguments_of_a_model_are_whole_numbers(task: Task, case: Case) -> None:
    """`model_arguments` maps names to whole numbers."""
    found = dict(task.model_arguments(case.data, case.training))
    expect(all(isinstance(k, str) and type(v) is int for k, v in found.items()), f"{found}")


def a_batch_depends_on_seed_and_step(task: Task, case: Case) -> None:
    """`batch` depends on (seed, step) alone: not on what was drawn before, nor on torch's global generator."""
    first = random_numbers_untouched(lambda: case.batch(3, 5))
    for seed, step in ((3, 6), (4, 5)):
        expect(not _equal(first, case.batch(seed, step)), f"(3, 5) and ({seed}, {step}) give the same batch")
    torch.manual_seed(1)
    expect(_equal(first, case.batch(3, 5)), "(3, 5) gives another batch when asked again")


def a_batch_counts_examples(task: Task, case: Case) -> None:
    """Every tensor of a batch lies on the CPU and has `batch_size` examples in its first dimension, and batches are of
    one size at every step."""
    sizes = [batch_shape(case.batch(0, step)) for step in range(3)]
    expect(sizes[0] == sizes[1] == sizes[2], f"{sizes}")
    for tensor in _tensors(case.batch()):
        said = f"a tensor {tuple(tensor.shape)} on {tensor.device}, batch_size {case.training.batch_size}"
        expect(tensor.dim() > 0 and tensor.shape[0] == case.training.batch_size and not tensor.is_cuda, said)


def held_out_is_fixed(task: Task, case: Case) -> None:
    """`held_out` gives the same batches whenever it is asked, at least one."""
    first = random_numbers_untouched(lambda: task.held_out(case.data, case.training))
    expect(len(first) > 0, "no batch")
    second = task.held_out(case.data, case.training)
    expect(len(first) == len(second) and all(map(_equal, first, second)), "other batches when asked again")


def a_model_can_be_called(task: Task, case: Case) -> None:
    """`inputs` is a tuple of tensors that the model takes, and `check_output` has nothing against its output."""
    batch = case.batch()
    inputs = task.inputs(batch)
    expect(
        isinstance(inputs, tuple) and all(isinstance(x, Tensor) for x in inputs), f"inputs give {type(inputs).__name__}"
    )
    task.check_output(case.model, case.model(*inputs), batch, case.data)


def a_wrong_output_is_refused(task: Task, case: Case) -> None:
    """`check_output` refuses (InputError) an output that the loss cannot take, such as a text."""
    try:
        task.check_output(case.model, "no tensor at all", case.batch(), case.data)
    except InputError:
        return
    expect(False, "a text was taken for an output")


def the_loss_is_a_scalar_with_a_gradient(task: Task, case: Case) -> None:
    """`loss` is one finite fp32 number, also where the output is bf16, with a gradient for the model."""
    batch = case.batch()
    output = case.output(batch)
    loss = task.loss(output, batch)
    said = f"shape {tuple(loss.shape)}, {loss.dtype}, {float(loss.detach().sum())}"
    expect(loss.dim() == 0 and loss.dtype == torch.float32 and bool(loss.isfinite()), said)
    parameters = [parameter for parameter in case.model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    expect(any(g is not None and bool(g.abs().sum() > 0) for g in gradients), "no parameter has a gradient")
    if isinstance(output, Tensor):
        half = task.loss(output.detach().bfloat16(), batch)
        expect(half.dtype == torch.float32, f"{half.dtype} for an output in bf16")


def a_batch_can_be_cut(task: Task, case: Case) -> None:
    """The loss of a batch is the mean of the losses of its parts, so that it can be worked off in micro-batches."""
    batch, half = case.batch(), case.training.batch_size // 2
    halves = [_cut(batch, 0, half), _cut(batch, half, 2 * half)]
    with torch.no_grad():
        whole, *parts = (float(task.loss(case.output(part), part)) for part in (batch, *halves))
    mean = sum(parts) / 2
    expect(math.isclose(whole, mean, rel_tol=1e-5), f"{whole:.6f} for the whole and {mean:.6f} for two halves")


def chance_is_what_silence_costs(task: Task, case: Case) -> None:
    """A model whose output is zero has the loss that `chance` says, within a tenth, where chance is known."""
    chance = task.chance(case.data)
    if math.isnan(chance):
        return
    expect(chance > 0, f"chance {chance!r}, which divergence cannot be measured by")
    held = task.held_out(case.data, case.training)
    with torch.no_grad():
        found = sum(float(task.loss(_silent(case.output(batch)), batch)) for batch in held) / len(held)
    expect(abs(found - chance) <= CHANCE * abs(chance), f"chance {chance:.4f}, the loss of silence {found:.4f}")


def a_step_consumes_something(task: Task, case: Case) -> None:
    """`tokens` is a whole number above 0."""
    found = task.tokens(case.training)
    expect(type(found) is int and found > 0, f"{found!r}")


RULES = (
    it_says_its_unit,
    data_has_one_fingerprint,
    other_data_is_refused,
    arguments_of_a_model_are_whole_numbers,
    a_batch_depends_on_seed_and_step,
    a_batch_counts_examples,
    held_out_is_fixed,
    a_model_can_be_called,
    a_wrong_output_is_refused,
    the_loss_is_a_scalar_with_a_gradient,
    a_batch_can_be_cut,
    chance_is_what_silence_costs,
    a_step_consumes_something,
)
