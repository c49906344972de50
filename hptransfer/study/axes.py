"""The axes of a grid: what is swept (and has an optimum), and what is scaled (over which the optimum must hold).

A swept axis says where its value goes, a scaled axis what it is at the base, where every rule is the identity. Both
are known by a name, which is also the name of the column that holds the value in a frame of rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from hptransfer.study.base import BaseHPs
from hptransfer.study.study import BaseSpec
from hptransfer.study.trial import Trial

__all__ = [
    "ALPHA_INPUT",
    "ALPHA_OUTPUT",
    "DENSITY",
    "DEPTH",
    "INIT_STD",
    "LR",
    "WEIGHT_DECAY",
    "WIDTH",
    "HyperparameterAxis",
    "ScaledAxis",
    "SweptAxis",
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

    def at_base(self, base: BaseSpec) -> float:
        """Its value at the proxy."""
        return float(getattr(base, self.base_key)) if self.base_key else 1.0

    def octaves(self, value: float) -> float:
        """log2 of a value, by which slopes are measured."""
        return math.log2(max(value, 1e-9))


DENSITY = ScaledAxis("density", "density", "densities", falls=True)
WIDTH = ScaledAxis("width", "width", "widths", "width")
DEPTH = ScaledAxis("depth", "depth", "depths", "depth")
