"""What a trial costs, from its shapes alone.

Forward, for a token (or whatever the task counts by): 2 FLOPs per weight of every matrix that is multiplied (2 · nnz
where zeros are left out; embeddings are looked up, vectors are not counted), and 4 · T · f for attention over T places,
where f is the sum over blocks of heads × head size (the causal half is not deducted; models that do not declare
`attention_features` count none). The backward pass takes twice the forward. The optimizer is not counted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hptransfer.scaling.build_model import Build, build_model
from hptransfer.scaling.table import TensorScale
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import tokens_per_step
from hptransfer.training.build import factory_of, table_of
from hptransfer.training.optimizers.parts import part_for, parts_of
from hptransfer.training.sparse import steps_between_masks

__all__ = ["TrialCost", "cost_of"]


@dataclass(frozen=True, slots=True)
class TrialCost:
    """Size and work of one trial. FLOPs cover the whole run, forward and backward; bytes are an estimate."""

    params: int
    params_nonzero: int
    flops_dense: float
    flops_nonzero: float
    tokens: int
    state_bytes: int
    """Weights, gradients, momenta and masks with every layer held dense."""
    state_sparse_bytes: int
    """The same with every sparse layer held as its non-zeros."""
    activation_bytes: int
    """What the forward pass over a whole batch keeps for the backward pass."""

    def memory_bytes(self, micro_batches: int = 1, *, sparse: bool = False) -> int:
        """What the trial takes with its batch cut into so many micro-batches, of which one is held at a time."""
        state = self.state_sparse_bytes if sparse else self.state_bytes
        return state + self.activation_bytes // micro_batches


def cost_of(trial: Trial) -> TrialCost:
    """The cost of a trial; nothing is allocated."""
    table, tokens = table_of(trial), trial.training.steps * tokens_per_step(trial)
    attention, _ = _attention(factory_of(trial), trial.width, trial.depth)
    per_token = 4.0 * trial.training.sequence_length * attention
    dense = sum(_matrix_uses(row) * 2.0 * math.prod(row.shape) for row in table) + per_token
    nonzero = sum(_matrix_uses(row) * 2.0 * row.nonzeros for row in table) + per_token
    return TrialCost(
        params=sum(math.prod(row.shape) for row in table),
        params_nonzero=sum(row.nonzeros for row in table),
        flops_dense=3.0 * dense * tokens,
        flops_nonzero=3.0 * nonzero * tokens,
        tokens=tokens,
        state_bytes=_state(trial, table, sparse=False),
        state_sparse_bytes=_state(trial, table, sparse=not steps_between_masks(trial)),
        activation_bytes=_activations(trial, table),
    )


def _matrix_uses(row: TensorScale) -> int:
    """How often the tensor is a factor of a product: a tied embedding once, as readout."""
    return sum(use.role in ("hidden", "residual", "readout") for use in row.uses)


@functools.lru_cache(maxsize=256)
def _attention(build: Build, width: int, depth: int) -> tuple[int, bool]:
    """Features of attention, and whether it keeps nothing of a pair of places; as the model itself says."""
    model = build_model(build, width, depth, device="meta")
    return int(getattr(model, "attention_features", 0)), bool(getattr(model, "attention_fused", False))


def _state(trial: Trial, table: Sequence[TensorScale], *, sparse: bool) -> int:
    """fp32 weights, gradients, momenta, and a byte of mask per weight or, held as non-zeros, three 4-byte indices."""
    parts, total = parts_of(trial.training.optimizer), 0
    for row in table:
        state = 4 * (2 + parts[part_for(parts, row.role)].entry.moments)
        held = sparse and row.density < 1
        total += row.nonzeros * (state + 12) if held else math.prod(row.shape) * (state + 1)
    return total


def _activations(trial: Trial, table: Sequence[TensorScale]) -> int:
    """Three fp32 numbers for every output of a matrix and, where attention is not fused, for every pair of places."""
    t = trial.training
    features, fused = _attention(factory_of(trial), trial.width, trial.depth)
    pairs = 0 if fused else t.sequence_length * features // 32
    outputs = sum(row.shape[0] for row in table if _matrix_uses(row))
    return 3 * 4 * tokens_per_step(trial) * (outputs + pairs)
