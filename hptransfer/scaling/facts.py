"""What is known of a model's parameters before any rule is applied: shapes, roles, how they grew, where they act."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hptransfer.scaling.dimensions import FeatureDims, InitKind
from hptransfer.scaling.rules import Role

__all__ = ["MultiplierPlace", "Rows", "Survey", "TensorFacts", "Use"]

MultiplierPlace = Literal["output", "input", ""]
"""Which activation of a module its multiplier acts on; empty: there is none."""

Rows = tuple[tuple[int, int], ...]
"""Ranges of a matrix's outputs, each from its first to behind its last; empty for all of them."""


@dataclass(frozen=True, slots=True)
class Use:
    """One name of a tensor, what it is used as under that name, and where its forward multiplier acts.

    `module` is None and `at` empty where there is no multiplier. It acts on `rows` of the module's outputs.
    """

    name: str
    role: Role
    module: str | None = None
    at: MultiplierPlace = ""
    rows: Rows = ()


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One parameter: what it is and how it grew from the base. No rule is applied yet.

    `uses[0]` is its use in its own role; a tied tensor has further ones. `head_ratio` is head size over base head
    size for a projection of queries whose heads grow, else None; `logits` is what the model's own scale of the logits
    lacks of having fallen with the root of that ratio.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    base_shape: tuple[int, ...]
    dims: FeatureDims
    init: InitKind
    uses: tuple[Use, ...]
    head_ratio: float | None = None
    built_rms: float = 0.0
    """Root mean square of what the factory builds at the base width."""
    lost: str = ""
    """What the factory built, where it carries meaning and the rule writes over it."""
    all_zero: bool = False
    """Whether it starts as zeros."""
    logits: float = 1.0

    @property
    def fan_in(self) -> int:
        """Inputs of one output; 1 for a vector."""
        return math.prod(self.shape[d] for d in self.dims.inp)

    @property
    def width(self) -> float:
        """Fan-in over base fan-in."""
        return self.fan_in / math.prod(self.base_shape[d] for d in self.dims.inp)

    @property
    def width_out(self) -> float:
        """Fan-out over base fan-out."""
        return math.prod(self.shape[d] / self.base_shape[d] for d in self.dims.out)


@dataclass(frozen=True, slots=True)
class Survey:
    """All parameters of a model, in its own order, and attention modules whose growing heads nobody spoke for."""

    tensors: tuple[TensorFacts, ...]
    unclaimed_heads: tuple[tuple[str, int, int], ...] = ()
    unclaimed_why: str = ""
    """What the trace says of the first of these."""
    additions: int = 0
    """How many times something is added to the residual stream; counted where the depth said does not tell how deep the
    model is, else 0."""
    untraced: str = ""
    """Why the model could not be traced, where nothing else tells whether its heads grow."""
