"""The axes of a grid: what is swept (and has an optimum), and what is scaled (over which the optimum must hold).

A swept axis says where its value goes, a scaled axis what it is at the base, where every rule is the identity. Both
are known by a name, which is also the name of the column that holds the value in a frame of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hptransfer.common.number_text import density_text
from hptransfer.common.seams import AXES, SCALED, is_outside
from hptransfer.study.base import BaseHPs
from hptransfer.study.study import BaseSpec
from hptransfer.study.trial import Trial

__all__ = [
    "ALPHA_INPUT",
    "ALPHA_OUTPUT",
    "DENSITY",
    "DEPTH",
    "FEW_NONZEROS",
    "HELD",
    "INIT_STD",
    "LR",
    "LR_EMBEDDING",
    "LR_READOUT",
    "LR_VECTOR",
    "WEIGHT_DECAY",
    "WIDTH",
    "HyperparameterAxis",
    "ScaledAxis",
    "SweptAxis",
    "place_axes",
    "scaled_axes",
    "swept_label",
    "swept_names",
]


class SweptAxis(Protocol):
    """A hyperparameter that a grid varies within each cell, and whose optimum is judged. Values are above 0."""

    name: str
    """Its column in a frame of rows: for an outside axis the name that the study file gives it."""
    label: str
    """As pictures and sentences write it: `LR`, `init std`."""

    def at_base(self, base: BaseHPs) -> float:
        """The value that is transferred: of the base HPs, or a constant."""

    def put(self, trial: Trial, value: float) -> Trial:
        """The trial with this value of the hyperparameter."""


@dataclass(frozen=True, slots=True)
class HyperparameterAxis:
    """A swept axis that is one of the base HPs."""

    name: str
    label: str

    def at_base(self, base: BaseHPs) -> float:
        """The base HP of that name."""
        return float(getattr(base, self.name))

    def put(self, trial: Trial, value: float) -> Trial:
        """The trial with that base HP."""
        return trial.model_copy(update={"base": trial.base.model_copy(update={self.name: value})})


LR = HyperparameterAxis("lr", "LR")
INIT_STD = HyperparameterAxis("init_std", "init std")
WEIGHT_DECAY = HyperparameterAxis("weight_decay", "weight decay")
ALPHA_INPUT = HyperparameterAxis("alpha_input", "α_in")
ALPHA_OUTPUT = HyperparameterAxis("alpha_output", "α_out")
LR_EMBEDDING = HyperparameterAxis("lr_embedding", "embedding LR multiplier")
LR_READOUT = HyperparameterAxis("lr_readout", "readout LR multiplier")
LR_VECTOR = HyperparameterAxis("lr_vector", "vector LR multiplier")


@dataclass(frozen=True, slots=True)
class ScaledAxis:
    """An axis along which models grow."""

    name: str
    """Its column in a frame of rows, and the field of a cell and of a trial."""
    label: str
    grid_key: str
    """The list of its values in the `grid` section."""
    base_key: str = ""
    """Its value at the proxy, in the `base` section; empty: 1, as for a density."""
    falls: bool = False
    """Whether larger models have smaller values of it, as of a density."""
    after: str = ""
    """The axis that a place names before it. A drift that shows at this one's base value is that axis's."""
    whole: bool = True
    """Whether its values are whole numbers."""

    def at_base(self, base: BaseSpec) -> float:
        """Its value at the proxy."""
        return float(getattr(base, self.base_key)) if self.base_key else 1.0

    def octaves(self, value: float) -> float:
        """log2 of a value, by which slopes are measured."""
        return math.log2(max(value, 1e-9))

    def number(self, value: float) -> float:
        """A value as its own kind of number."""
        return int(value) if self.whole else float(value)

    def text(self, value: float) -> str:
        """A value as sentences write it: `256`, `1/16`."""
        return f"{value:.0f}" if self.whole else density_text(value)


DENSITY = ScaledAxis("density", "density", "densities", falls=True, after="width", whole=False)
WIDTH = ScaledAxis("width", "width", "widths", "width")
DEPTH = ScaledAxis("depth", "depth", "depths", "depth")

HELD = ("rule", "rule_digest", "base_width", "base_depth", "width", "depth", "density", "seed", "data", "data_id")
"""What a swept axis leaves alone."""

FEW_NONZEROS = 8
"""Weights per neuron (width × density) below which no rule is expected to hold: every rule rests on the law of large
numbers. The coordinate check leaves such cells out, a plan warns of them."""


def swept_names(columns: Iterable[str]) -> list[str]:
    """Of some columns those that hold the values of swept axes, in the order in which they are judged: the LR first."""
    found = list(columns)
    return [name for name in AXES.built_in if name in found] + sorted(filter(is_outside, found))


def swept_label(name: str) -> str:
    """A swept axis as pictures and sentences write it: an outside one by the part of its name after the colon.

    Nothing of a user's is imported: rows are read where their code is not.
    """
    return str(AXES.get(name).label) if name in AXES.built_in else name.rpartition(":")[2]


def scaled_axes() -> list[ScaledAxis]:
    """Every scaled axis, in the order in which verdicts are given."""
    return [SCALED.get(name) for name in SCALED.built_in]


def place_axes() -> list[ScaledAxis]:
    """The same in the order in which a place is told and sorted: an axis behind the one that it comes `after`."""
    names = list(SCALED.built_in)
    return sorted(scaled_axes(), key=lambda axis: (names.index(axis.after or axis.name), bool(axis.after)))
