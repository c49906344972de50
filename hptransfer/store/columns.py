"""What a stored row holds: the columns, their types, units and meaning, in one explicit and versioned place.

`docs/results-schema.md` is generated from here.
"""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

import pyarrow as pa

from hptransfer.common.errors import InputError
from hptransfer.common.seams import identity_of
from hptransfer.common.version import __version__
from hptransfer.study.trial import Outcome, Phase, Trial

__all__ = ["BEFORE", "CURVE_SCHEMA", "SCHEMA", "SCHEMA_VERSION", "curves_of", "refuse_newer", "row_of", "upgrade"]

SCHEMA_VERSION = 3
"""Raised whenever a column is added, renamed or changes its meaning. A newer file is refused, an older one is read."""

_TEXT, _INT, _FLOAT, _TIME = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", tz="UTC")
_UNIT = "in the task's unit (nats per token for `language`)"
_ENTRIES = "Entries from outside the package by qualified name: `version <v>` or `source <digits>`, as a JSON object."


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


SCHEMA = pa.schema(
    [
        _field("schema_version", _INT, "Version of this schema that the row was written with."),
        _field("study", _TEXT, "Name of the study."),
        _field("phase", _TEXT, "What the trial was first run for: `tune`, `probe`, `grid` or `direct`."),
        _field("trial_id", _TEXT, "20 hexadecimal digits; equal ids mean the same run. Unique after reading."),
        _field("task", _TEXT, "What is trained for, and what the loss is."),
        _field("trainer", _TEXT, "What trained it."),
        _field("rule", _TEXT, "Name of the scaling rule."),
        _field("variant", _TEXT, "Label of the grid's variant; empty for the plain series."),
        _field("optimizer", _TEXT, "Optimizer."),
        _field("model", _TEXT, "Model factory."),
        _field("width", _INT, "Width."),
        _field("depth", _INT, "Depth, in blocks."),
        _field("base_width", _INT, "Width of the proxy, where every multiplier is 1."),
        _field("base_depth", _INT, "Depth of the proxy, in blocks."),
        _field("density", _FLOAT, "Share of non-zero weights in the sparse layers, in (0, 1]."),
        _field("sparsity_kind", _TEXT, "Pattern of the zeros: `random`, `row` or `n:m`."),
        _field("sparsity_distribution", _TEXT, "How the density is shared among layers: `uniform` or `erk`."),
        _field("sparsity_method", _TEXT, "How the masks change while training; `static`: not at all."),
        _field("lr", _FLOAT, "Base learning rate (peak), before the rule scales it."),
        _field("init_std", _FLOAT, "Base standard deviation of the initial weights, before the rule scales it."),
        _field("alpha_input", _FLOAT, "Multiplier of the embedding's output."),
        _field("alpha_output", _FLOAT, "Multiplier of the readout's input."),
        _field("lr_embedding", _FLOAT, "Multiplier of the embedding's LR."),
        _field("lr_readout", _FLOAT, "Multiplier of the readout's LR."),
        _field("lr_vector", _FLOAT, "Multiplier of the LR of biases, norm gains and other vectors."),
        _field("weight_decay", _FLOAT, "Base weight decay, before the rule scales it."),
        _field("axes", _TEXT, "Values of swept axes from outside the package by name, as a JSON object."),
        _field("decay", _TEXT, "`independent` (lr × decay held across scale) or `coupled`."),
        _field("schedule", _TEXT, "Shape of the learning-rate schedule."),
        _field("warmup", _FLOAT, "Share of the steps spent on linear warm-up."),
        _field("beta1", _FLOAT, "Adam β₁."),
        _field("beta2", _FLOAT, "Adam β₂."),
        _field("precision", _TEXT, "`fp32` or `bf16`."),
        _field("seed", _INT, "Seed of initial weights and masks, and of the batches unless those have their own."),
        _field("steps", _INT, "Optimizer steps planned."),
        _field("batch_size", _INT, "Sequences per step; items, where a task has no sequences."),
        _field("sequence_length", _INT, "Tokens per sequence."),
        _field("tokens", _INT, "Training tokens seen; fewer than planned when the run diverged or was pruned."),
        _field("status", _TEXT, "`ok`, `diverged` or `pruned`."),
        _field("loss", _FLOAT, f"Held-out loss at the end, {_UNIT}; NaN when diverged or pruned."),
        _field("train_loss", _FLOAT, f"Training loss at the end, {_UNIT}; may be NaN when diverged."),
        _field("diverged_step", _INT, "Step at which the run diverged; null when it did not.", nullable=True),
        _field("params", _INT, "Parameters, zeros included."),
        _field("params_nonzero", _INT, "Parameters that are not masked."),
        _field("flops_dense", _FLOAT, "FLOPs of the whole run, forward and backward, with zeros counted."),
        _field("flops_nonzero", _FLOAT, "FLOPs of the whole run, forward and backward, of non-zero weights alone."),
        _field("wall_s", _FLOAT, "Wall time of the trial in seconds; its share where trials trained together."),
        _field("peak_memory_bytes", _INT, "Peak memory in bytes; null in rows older than version 1.", nullable=True),
        _field("device", _TEXT, "Device the trial ran on."),
        _field("products", _TEXT, "`dense`, or `sparse:k/n`: k of the n masked layers on their non-zeros."),
        _field("data_id", _TEXT, "Fingerprint of the corpus."),
        _field("code_version", _TEXT, "Version of this package."),
        _field("versions", _TEXT, "Versions of Python and the main libraries, as a JSON object."),
        _field("entries", _TEXT, _ENTRIES),
        _field("note", _TEXT, "Remark of the training program; mostly empty."),
        _field("finished_at", _TIME, "When the row was made, UTC."),
    ]
)
"""One row per trial (`trials/*.parquet`)."""

CURVE_SCHEMA = pa.schema(
    [
        _field("trial_id", _TEXT, "The trial the point belongs to."),
        _field("step", _INT, "Optimizer steps done."),
        _field("train_loss", _FLOAT, f"Training loss at that step, {_UNIT}."),
        _field("validation_loss", _FLOAT, f"Held-out loss, {_UNIT}; NaN where it was not measured."),
    ]
)
"""One row per point of a learning curve (`curves/*.parquet`)."""

BEFORE = {
    "schema_version": 0,
    "task": "language",
    "trainer": "packs",
    "sparsity_method": "static",
    "axes": "{}",
    "entries": "{}",
    "lr_embedding": 1.0,
    "lr_readout": 1.0,
    "lr_vector": 1.0,
}
"""What a row that is older than the column reads as. Any other column: text "", floats NaN, the rest null."""

_LIBRARIES = ("torch", "numpy", "pyarrow", "ray", "optuna")


@cache
def _versions() -> str:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return json.dumps(found, sort_keys=True)


def row_of(study_name: str, phase: Phase, trial: Trial, outcome: Outcome) -> dict[str, Any]:
    """The stored row of a finished trial; keys are the columns of `SCHEMA`, in order."""
    if outcome.trial_id != trial.id:
        raise ValueError(f"outcome of {outcome.trial_id} handed in for trial {trial.id}")
    values = {
        "schema_version": SCHEMA_VERSION,
        "study": study_name,
        "phase": phase,
        "model": trial.model.factory,
        "sparsity_kind": trial.sparsity.kind,
        "sparsity_distribution": trial.sparsity.distribution,
        "sparsity_method": trial.sparsity.method,
        "axes": json.dumps(trial.axes, sort_keys=True),
        "entries": json.dumps({name: identity_of(name) for name in trial.entries}, sort_keys=True),
        "code_version": __version__,
        "versions": _versions(),
        "finished_at": datetime.now(UTC),
    }
    # First place that has the column wins: the outcome's tokens (seen) before the trial's (planned).
    for name in SCHEMA.names:
        for source in (outcome, trial, trial.base, trial.training):
            if name not in values and hasattr(source, name):
                values[name] = getattr(source, name)
    return {name: values[name] for name in SCHEMA.names}


def curves_of(outcome: Outcome) -> list[dict[str, Any]]:
    """The rows of `CURVE_SCHEMA` of one outcome."""
    return [{"trial_id": outcome.trial_id, **asdict(point)} for point in outcome.curve]


def refuse_newer(version: object, where: str) -> None:
    """Refuse rows that a later version of this package wrote: what their columns mean is not known here."""
    try:
        number = float(str(version or 0))
    except ValueError:  # a column of that name that counts something else
        return
    if number > SCHEMA_VERSION:
        raise InputError(
            "was written by a newer hptransfer",
            where=where,
            found=f"schema version {number:g}",
            allowed=f"up to {SCHEMA_VERSION}",
            hint="upgrade hptransfer to read it",
        )


def upgrade(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """An older table with the columns of `schema`; what it lacks reads as `BEFORE` says."""
    held = dict(zip(table.column_names, table.columns, strict=True))
    columns = []
    for field in schema:
        if field.name not in held:
            filler = BEFORE.get(field.name, {_TEXT: "", _FLOAT: float("nan")}.get(field.type))
            held[field.name] = pa.repeat(pa.scalar(filler, field.type), table.num_rows)
        columns.append(held[field.name].cast(field.type))
    loose = pa.schema([field.with_nullable(True) for field in schema])
    return pa.Table.from_arrays(columns, schema=loose)
