"""A trial: one training run, fully described; and its outcome.

A trial's id is a hash of what determines its numbers and of nothing else: not of the study it was planned in, its
phase, the pack it rides in, the executor or the host. Two trials with one id are the same run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from hptransfer.common.files import digest_of
from hptransfer.common.seams import TASKS, TRAINERS, import_entry, is_outside
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DataSpec, Fraction, ModelSpec, SparsitySpec, Spec, TrainingSpec, named_by
from hptransfer.study.study import Study

__all__ = [
    "NUMERICS_VERSION",
    "READING_VERSION",
    "CurvePoint",
    "Outcome",
    "Phase",
    "Status",
    "Trial",
    "drop_since",
    "model_marks",
    "outside_entries",
]

NUMERICS_VERSION = 1
"""Raised whenever a change makes the same trial come to other numbers (beyond rounding)."""

READING_VERSION = 3
"""How a model from outside is read: its roles, queries, residual projections and inits. A part of the id of its trials,
so that numbers read in another way are not taken for the same."""

Phase = Literal["tune", "probe", "grid", "check", "direct"]
Status = Literal["ok", "diverged", "pruned"]


class Trial(Spec):
    """One training run with every choice made. Frozen; equal trials have equal ids."""

    task: Annotated[str, named_by(TASKS)] = "language"
    trainer: Annotated[str, named_by(TRAINERS)] = "packs"
    model: ModelSpec = ModelSpec()
    data: DataSpec = DataSpec()
    data_id: str = ""
    training: TrainingSpec = TrainingSpec(precision="fp32")
    sparsity: SparsitySpec = SparsitySpec()
    rule: str = "supar"
    rule_digest: str = ""
    rule_table: dict[str, Any] = Field(default_factory=dict, description="The table of a rule of the study's own.")
    base_width: int = Field(default=64, ge=1)
    base_depth: int = Field(default=2, ge=1)
    width: int = Field(default=64, ge=1)
    depth: int = Field(default=2, ge=1)
    density: Fraction = 1.0
    base: BaseHPs = BaseHPs()
    seed: int = Field(default=0, ge=0)
    axes: dict[str, float] = Field(default_factory=dict, description="Values of swept axes that are no base HPs.")
    versions: dict[str, str] = Field(
        default_factory=dict,
        description="Versions of the outside entries that the trial names, for those that have one.",
    )
    variant: str = Field(default="", description="Label of the grid's variant; not part of the id.")

    def canonical(self) -> dict[str, Any]:
        """What determines the numbers, as plain JSON values. Paths and labels are left out.

        With a fingerprint the data's spec says nothing further: the same tokens are the same data, wherever they lie.
        """
        tree = self.model_dump(mode="json")
        for key in ("variant", "rule_table"):  # a label, and what `rule_digest` already says
            tree.pop(key)
        if self.data_id:
            tree.pop("data")
        # The first pattern that matches wins, so their order counts; that of other keys does not.
        tree["model"]["roles"] = list(tree["model"]["roles"].items())
        tree["model"]["init"] = list(tree["model"]["init"].items()) or {}
        tree["numerics"] = NUMERICS_VERSION
        tree["reading"] = READING_VERSION if is_outside(self.model.factory) else 0
        return drop_since(tree)

    @cached_property
    def id(self) -> str:
        """20 hexadecimal digits of the SHA-256 of the canonical description."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return digest_of(text, 20)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Trial:
        """A copy with changes, not validated. The original's cached id and shape do not come along."""
        copied = super().model_copy(update=update, deep=deep)
        for cached in ("id", "shape_key"):
            copied.__dict__.pop(cached, None)
        return copied

    @property
    def data_seed(self) -> int:
        """Seed of the batch stream: the study's fixed one, else the trial's own."""
        return self.seed if self.training.data_seed is None else self.training.data_seed

    @property
    def tokens(self) -> int:
        """Training tokens of the whole run."""
        return self.training.steps * self.training.batch_size * self.training.sequence_length

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries from outside the package that the trial names, each once."""
        return tuple(outside_entries(self, *self.axes))

    @cached_property
    def shape_key(self) -> str:
        """Hash of what fixes the compiled program: trials with one key may train in one pack.

        LR, init, multipliers, seed, rule and decay are data to the program and so are not in it. The density is:
        a layer held as its non-zeros has their number as its shape.
        """
        t = self.training
        what = [
            [self.task, self.trainer, self.axes, self.versions],
            drop_since({"model": self.model.model_dump(mode="json", exclude={"init"})})["model"],
            self.data_id,
            self.width,
            self.depth,
            self.density,
            self.sparsity.model_dump(mode="json"),
            [t.steps, t.batch_size, t.sequence_length, t.optimizer, t.precision, t.eval_tokens, t.schedule],
        ]
        return digest_of(json.dumps(what, sort_keys=True), 12)


def outside_entries(said: Study | Trial, *axes: str) -> dict[str, str]:
    """The entries from outside the package that a study or a trial names, and of the swept `axes`; and the key that
    names each."""
    named = {
        said.task: "task",
        said.trainer: "trainer",
        said.model.factory: "model.factory",
        said.training.optimizer: "training.optimizer",
        said.sparsity.method: "sparsity.method",
        **dict.fromkeys(axes, "grid.sweep"),
    }
    others = dict.fromkeys(_left_to(said.training.optimizer), "training.optimizer")
    return {name: where for name, where in (named | others).items() if is_outside(name)}


def _left_to(optimizer: str) -> list[str]:
    """The optimizers to which one of a user's own leaves roles, in turn: they settle the numbers as it does."""
    found = [optimizer]
    while is_outside(found[-1]):
        name = getattr(import_entry(found[-1], where="training.optimizer"), "others", "")
        if name in ("", *found):
            break
        found.append(name)
    return found[1:]


_SINCE: dict[str, Any] = {
    "task": "language",
    "trainer": "packs",
    "axes": {},
    "versions": {},
    "model.init": {},
    "reading": 0,
    "sparsity.method": "static",
    "model.queries": None,
    "data.options": {},
    "base.lr_embedding": 1.0,
    "base.lr_readout": 1.0,
    "base.lr_vector": 1.0,
}
"""Fields that came after ids were first given, and what they say of a trial of before: left out of an id where they say
just that, so that a study which uses nothing new keeps its ids."""


def drop_since(tree: dict[str, Any]) -> dict[str, Any]:
    """A trial's or a study's tree without the fields of `_SINCE` that say nothing new; changed in place."""
    for path, default in _SINCE.items():
        *sections, key = path.split(".")
        node = tree
        for section in sections:
            node = node.get(section, {})
        if key in node and node[key] == default:
            del node[key]
    return tree


def model_marks(model: ModelSpec) -> list[Any]:
    """What decides a model's numbers and is not in its plain keys, for a digest: the order of its patterns, of which
    the first that matches counts, and how a model from outside is read. Empty for a model that ships, without any."""
    in_order = [list(patterns.items()) for patterns in (model.roles, model.init) if patterns]
    return in_order + [READING_VERSION] * is_outside(model.factory)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of a run's learning curve. `validation_loss` is NaN where it was not measured."""

    step: int
    train_loss: float
    validation_loss: float = math.nan


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial came to. An infrastructure failure is not an outcome.

    `loss` is the held-out loss at the end in nats per token; NaN when the run diverged or was pruned before its end.
    FLOPs count training (forward and backward) over the whole run; `flops_nonzero` counts only the non-zeros.
    """

    trial_id: str
    status: Status
    loss: float
    train_loss: float
    diverged_step: int | None
    params: int
    params_nonzero: int
    flops_dense: float
    flops_nonzero: float
    tokens: int
    wall_s: float
    peak_memory_bytes: int
    device: str
    products: str = "dense"
    note: str = ""
    curve: tuple[CurvePoint, ...] = ()
