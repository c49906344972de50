"""From a trial to what a program is made of: factory, target, scale table, skeleton, initial values."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hptransfer.common.errors import InputError, WorkError
from hptransfer.common.seams import MODELS
from hptransfer.scaling.factory import Build, build_model
from hptransfer.scaling.initialise import initial_tensor, mask_of
from hptransfer.scaling.multipliers import attach_multipliers, multiplier_buffers
from hptransfer.scaling.rules import get_rule, rule_from_table
from hptransfer.scaling.table import TensorScale, scale_table
from hptransfer.scaling.target import Target
from hptransfer.sparsity.linear import index_buffers, swap_linear, values_of
from hptransfer.study.pieces import ModelSpec
from hptransfer.study.trial import Trial
from hptransfer.tasks.data import Corpus, open_corpus
from hptransfer.tasks.models import resolve_factory
from hptransfer.training.layout import Layout, TensorShape

__all__ = [
    "TrialTensors",
    "check_logits",
    "corpus_of",
    "initial_state",
    "make_skeleton",
    "table_of",
    "target_of",
    "tensor_shapes",
]


def corpus_of(trial: Trial) -> Corpus:
    """The trial's corpus, checked against the fingerprint the trial was planned with."""
    return open_corpus(trial.data, expected=trial.data_id)


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
        optimizer=trial.training.optimizer,
        decay=trial.training.decay,
        density=trial.density,
        sparsity=trial.sparsity,
        base=trial.base,
        eps=trial.training.eps,
        roles=trial.model.roles,
    )


def table_of(trial: Trial) -> tuple[TensorScale, ...]:
    """One row a parameter, with every number the trial needs of it."""
    return scale_table(target_of(trial))


def factory_of(trial: Trial) -> Build:
    """The trial's factory; the same object for the same model, so that what is read off it can be cached."""
    text = json.dumps(trial.model.model_dump(mode="json", include={"factory", "options"}), sort_keys=True)
    return _factory(text, corpus_of(trial).vocab_size, trial.training.sequence_length)


@functools.lru_cache(maxsize=32)
def _factory(text: str, vocab_size: int, context: int) -> Build:
    return resolve_factory(ModelSpec.model_validate_json(text), vocab_size=vocab_size, context=context)


def tensor_shapes(table: Sequence[TensorScale]) -> tuple[TensorShape, ...]:
    """What a layout needs of each row. Matrices that any density may thin count as masked, so that a dense trial and
    a sparse one share a program."""
    return tuple(
        TensorShape(row.name, row.shape, row.nonzeros, row.density < 1 or row.role in ("hidden", "residual"))
        for row in table
    )


def make_skeleton(trial: Trial, table: Sequence[TensorScale], as_values: Mapping[str, int], device: str) -> nn.Module:
    """The model without weights of its own, for `functional_call`: multiplier hooks attached, sparse layers swapped in.

    The parameters are on the meta device. A model of ours holds no other tensor; a user's own may compute tables when
    it is built, so it is built for real and only its parameters are dropped.
    """
    built_in = trial.model.factory in MODELS.built_in
    model = build_model(factory_of(trial), trial.width, trial.depth, device="meta" if built_in else device)
    _drop_parameters(model)
    swap_linear(model, as_values)
    attach_multipliers(model, table)
    return model


def _drop_parameters(model: nn.Module) -> None:
    memo: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                empty = nn.Parameter(torch.empty_like(parameter, device="meta"))
                module._parameters[name] = memo.setdefault(id(parameter), empty)


def check_logits(model: nn.Module, logits: object, targets: Tensor, vocab_size: int) -> None:
    """Refuse a model whose output is not one logit a token of the vocabulary at every place."""
    expected = (*targets.shape, vocab_size)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
        raise InputError(
            "the model returns the wrong shape",
            where="model.factory",
            found=f"{type(model).__name__} gave {tuple(logits.shape) if isinstance(logits, Tensor) else type(logits)}",
            allowed=f"logits of shape (batch, time, vocabulary) = {expected}",
        )


@dataclass(frozen=True)
class TrialTensors:
    """Initial values and everything else that is a trial's own, laid out as the program wants it.

    `hyper` is one (lr, decay, eps) triple of (rows, 1) columns a sheet. `buffers` are multipliers and index tensors.
    """

    sheets: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    hyper: tuple[tuple[Tensor, Tensor, Tensor], ...]
    buffers: dict[str, Tensor]


def initial_state(trial: Trial, table: Sequence[TensorScale], layout: Layout) -> TrialTensors:
    """Draw the trial's initial weights and masks from its seed and place them."""
    as_values = layout.as_values
    values: dict[str, Tensor] = {}
    masks: dict[str, Tensor | None] = {}
    buffers = {name: torch.tensor(value) for name, value in multiplier_buffers(table).items()}
    built = _built_values(trial, [row.name for row in table if row.init == "built"])
    for row in table:
        if row.init == "built":
            value, mask = built[row.name], mask_of(row, trial.seed, trial.sparsity)
        else:
            value, mask = initial_tensor(row, trial.seed, trial.sparsity)
        if row.name in as_values:
            assert mask is not None, "only masked tensors are held as values"
            buffers.update(index_buffers(row.name, mask))
            value, mask = values_of(value, mask), None  # no dense mask is kept beside the non-zeros
        elif mask is not None:
            value = value * mask
        values[row.name], masks[row.name] = value, mask
    columns = [layout.spread({row.name: getattr(row, key) for row in table}) for key in ("lr", "weight_decay", "eps")]
    return TrialTensors(layout.gather(values), layout.masks(masks), tuple(zip(*columns, strict=True)), buffers)


def _built_values(trial: Trial, names: Collection[str]) -> dict[str, Tensor]:
    """Values as the factory makes them under the trial's seed."""
    if not names:
        return {}
    model = build_model(factory_of(trial), trial.width, trial.depth, seed=trial.seed)
    parameters = dict(model.named_parameters())
    return {name: parameters[name].detach().float().clone() for name in names}
