"""From a trial to what a program is made of: factory, target, scale table, skeleton, initial values."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hptransfer.common.errors import WorkError
from hptransfer.common.seams import MODELS, OPTIMIZERS, TASKS
from hptransfer.scaling.build_model import Build, build_model
from hptransfer.scaling.initialise import initial_tensor
from hptransfer.scaling.multipliers import attach_multipliers, multiplier_buffers
from hptransfer.scaling.rules import get_rule, rule_from_table
from hptransfer.scaling.table import TensorScale, scale_table
from hptransfer.scaling.target import Target
from hptransfer.scaling.trace.sample import Sample, sample_of
from hptransfer.sparsity.linear import index_buffers, swap_linear, values_of
from hptransfer.study.pieces import ModelSpec
from hptransfer.study.trial import Trial
from hptransfer.tasks.models.factory import resolve_factory
from hptransfer.training.ask_task import arguments_of, batch_of
from hptransfer.training.layout import Layout, TensorShape
from hptransfer.training.optimizers.parts import part_for, parts_of

__all__ = [
    "TrialTensors",
    "factory_of",
    "initial_state",
    "make_skeleton",
    "sample_for",
    "table_of",
    "target_of",
    "tensor_shapes",
]


def target_of(trial: Trial) -> Target:
    """What the rule is applied to. Refuses a rule that is no longer the one the trial was planned with."""
    rule = rule_from_table(trial.rule, trial.rule_table) if trial.rule_table else get_rule(trial.rule)
    if trial.rule_digest and rule.digest() != trial.rule_digest:
        raise WorkError(
            f"the rule '{trial.rule}' is not the one trial {trial.id} was planned with:"
            f" digest {rule.digest()}, planned {trial.rule_digest}"
        )
    return Target(
        build=factory_of(trial),
        width=trial.width,
        depth=trial.depth,
        base_width=trial.base_width,
        base_depth=trial.base_depth,
        rule=rule,
        optimizer=OPTIMIZERS.get(trial.training.optimizer).table,
        decay=trial.training.decay,
        density=trial.density,
        sparsity=trial.sparsity,
        base=trial.base,
        eps=trial.training.eps,
        roles=trial.model.roles,
        init=trial.model.init,
        queries=trial.model.queries,
        sample=sample_for(trial),
    )


def table_of(trial: Trial) -> tuple[TensorScale, ...]:
    """One row per parameter, with every number the trial needs of it."""
    return scale_table(target_of(trial))


def factory_of(trial: Trial) -> Build:
    """The trial's factory; the same object for the same model, so that what is read off it can be cached."""
    text = json.dumps(trial.model.model_dump(mode="json", include={"factory", "options"}), sort_keys=True)
    return _factory(text, tuple(sorted(arguments_of(trial).items())))


@functools.lru_cache(maxsize=32)
def _factory(text: str, arguments: tuple[tuple[str, int], ...]) -> Build:
    return resolve_factory(ModelSpec.model_validate_json(text), dict(arguments))


def sample_for(trial: Trial) -> Sample | None:
    """What the trial's model is called with, for a trace of its forward pass; models that ship declare all of it."""
    if trial.model.factory in MODELS.built_in:
        return None
    return _sample(trial.model_dump_json(include={"task", "data", "data_id", "training"}))


@functools.lru_cache(maxsize=32)
def _sample(text: str) -> Sample:
    trial = Trial.model_validate_json(text)
    return sample_of(TASKS.get(trial.task).inputs(batch_of(trial, 0)))


def tensor_shapes(trial: Trial) -> tuple[TensorShape, ...]:
    """What a layout needs of each parameter. Matrices that any density may thin count as masked, so that a dense
    trial and a sparse one share a program."""
    parts, table = parts_of(trial.training.optimizer), table_of(trial)
    takers = {row.name: part_for(parts, row.role) for row in table}
    return tuple(
        TensorShape(
            row.name,
            row.shape,
            row.nonzeros,
            masked=row.density < 1 or row.role in ("hidden", "residual"),
            optimizer=takers[row.name],
            whole=parts[takers[row.name]].whole,
        )
        for row in table
    )


def make_skeleton(trial: Trial, as_values: Mapping[str, int], device: str) -> nn.Module:
    """The model without weights of its own, for `functional_call`: multiplier hooks attached, sparse layers swapped in.

    The parameters are on the meta device. A model of ours holds no other tensor; a user's own may compute tables when
    it is built, so it is built for real and only its parameters are dropped.
    """
    built_in = trial.model.factory in MODELS.built_in
    model = build_model(factory_of(trial), trial.width, trial.depth, device="meta" if built_in else device)
    _drop_parameters(model)
    swap_linear(model, as_values)
    attach_multipliers(model, table_of(trial))
    return model


def _drop_parameters(model: nn.Module) -> None:
    memo: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                empty = nn.Parameter(torch.empty_like(parameter, device="meta"))
                module._parameters[name] = memo.setdefault(id(parameter), empty)


class TrialTensors(NamedTuple):
    """Initial values and everything else that is a trial's own, laid out as the program wants it.

    `hyper` is one (lr, decay, eps) triple of (rows, 1) columns per sheet. `buffers` are multipliers and index tensors.
    """

    sheets: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    hyper: tuple[tuple[Tensor, Tensor, Tensor], ...]
    buffers: dict[str, Tensor]


def initial_state(trial: Trial, layout: Layout) -> TrialTensors:
    """Draw the trial's initial weights and masks from its seed and place them."""
    table, as_values = table_of(trial), layout.as_values
    values: dict[str, Tensor] = {}
    masks: dict[str, Tensor | None] = {}
    buffers = multiplier_buffers(table)
    built = _built_values(trial, [row.name for row in table if row.from_factory])
    for row in table:
        value, mask = initial_tensor(row, trial.seed, trial.sparsity, built.get(row.name))
        if row.name in as_values:
            assert mask is not None, "only masked tensors are held as values"
            buffers.update(index_buffers(row.name, mask))
            value, mask = values_of(value, mask), None  # no dense mask is kept beside the non-zeros
        values[row.name], masks[row.name] = value, mask
    columns = [layout.spread({row.name: getattr(row, key) for row in table}) for key in ("lr", "weight_decay", "eps")]
    return TrialTensors(layout.gather(values), layout.masks(masks), tuple(zip(*columns, strict=True)), buffers)


def _built_values(trial: Trial, names: Collection[str]) -> dict[str, Tensor]:
    """Values as the factory makes them under the trial's seed."""
    if not names:
        return {}
    model = build_model(factory_of(trial), trial.width, trial.depth, seed=trial.seed)
    return {name: model.get_parameter(name).detach().float() for name in names}
