"""What a trial costs, from its shapes alone.

Forward, a token: 2 FLOPs a weight of every matrix that is multiplied (2 · nnz where zeros are left out; embeddings are
looked up, vectors are not counted), and 4 · T · f for attention over T places, where f is the sum over blocks of heads
× head size (the causal half is not deducted; models that do not declare `attention_features` count none). The backward
pass takes twice the forward. The optimizer is not counted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hptransfer.scaling.factory import Build, build_model
from hptransfer.scaling.table import TensorScale
from hptransfer.training.build import factory_of, table_of
from hptransfer.training.optimizers import momenta_of
from hptransfer.trial import Trial

__all__ = ["TrialCost", "cost_of"]


@dataclass(frozen=True, slots=True)
class TrialCost:
    """Size and work of one trial. FLOPs cover the whole run, forward and backward; bytes are an estimate."""

    params: int
    params_nonzero: int
    flops_dense: float
    flops_nonzero: float
    tokens: int
    memory_bytes: int
    """With every layer held dense."""
    memory_sparse_bytes: int
    """With every sparse layer held as its non-zeros."""


def cost_of(trial: Trial) -> TrialCost:
    """The cost of a trial; nothing is allocated."""
    table = table_of(trial)
    attention = _attention_features(factory_of(trial), trial.width, trial.depth)
    per_token = 4.0 * trial.training.sequence_length * attention
    dense = sum(_matrix_uses(row) * 2.0 * math.prod(row.shape) for row in table) + per_token
    nonzero = sum(_matrix_uses(row) * 2.0 * row.nonzeros for row in table) + per_token
    return TrialCost(
        params=sum(math.prod(row.shape) for row in table),
        params_nonzero=sum(row.nonzeros for row in table),
        flops_dense=3.0 * dense * trial.tokens,
        flops_nonzero=3.0 * nonzero * trial.tokens,
        tokens=trial.tokens,
        memory_bytes=_memory(trial, table, sparse=False),
        memory_sparse_bytes=_memory(trial, table, sparse=True),
    )


def _matrix_uses(row: TensorScale) -> int:
    """How often the tensor is a factor of a product: a tied embedding once, as readout."""
    roles = (row.role, *(use.role for use in row.tied))
    return sum(role in ("hidden", "residual", "readout") for role in roles)


@functools.lru_cache(maxsize=256)
def _attention_features(build: Build, width: int, depth: int) -> int:
    return int(getattr(build_model(build, width, depth, device="meta"), "attention_features", 0))


def _memory(trial: Trial, table: Sequence[TensorScale], *, sparse: bool) -> int:
    """fp32 weights, gradients and momenta, a byte of mask a weight, and the activations kept for the backward pass.

    Held as non-zeros, a weight takes three 4-byte indices instead of the byte of mask.

    Activations are taken as three fp32 numbers for every output of a matrix, and for attention three a pair of places.
    """
    t = trial.training
    state = 4 * (2 + momenta_of(t.optimizer))
    weights = sum(
        row.nonzeros * (state + 12) if sparse and row.density < 1 else math.prod(row.shape) * (state + 1)
        for row in table
    )
    tokens = t.batch_size * t.sequence_length
    outputs = sum(row.shape[0] for row in table if _matrix_uses(row))
    pairs = t.sequence_length * _attention_features(factory_of(trial), trial.width, trial.depth) / 32
    return int(weights + 3 * 4 * tokens * (outputs + pairs))
