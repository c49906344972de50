"""What a rule is applied to: a factory, its size and its base, the rule, and the base hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.init_policy import refuse_unknown_policies
from hptransfer.scaling.rules import Rule
from hptransfer.scaling.trace.sample import Sample
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DecayMode, SparsitySpec

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """One model to be scaled. `build` is called as build(width=…, depth=…); depths of None leave depth alone.

    The one builder of targets: a base depth that is not given is the target's own, whoever leaves a setting out gets
    it as it stands here, and a rule that scales with depth is refused where no depth is known.
    """

    build: Callable[..., nn.Module]
    width: int
    base_width: int
    rule: Rule
    depth: int | None = None
    base_depth: int | None = None
    optimizer: str = "adamw"
    """The rule's table: `adamw`, `sgd`, or that of another optimizer."""
    decay: DecayMode = "independent"
    density: float = 1.0
    sparsity: SparsitySpec = field(default_factory=SparsitySpec)
    base: BaseHPs = field(default_factory=BaseHPs)
    eps: float = 1e-8
    roles: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, str] = field(default_factory=dict)
    """How a tensor starts, by pattern of its name (see `init_policy`)."""
    queries: tuple[str, ...] | None = None
    """Patterns of the query projections, for attention whose head size grows; empty: none is to be scaled; None: as the
    model declares them, or as its trace tells."""
    sample: Sample | None = None
    """What the model is called with where its forward pass is traced; None tries token ids."""

    def __post_init__(self) -> None:
        refuse_unknown_policies(self.init)
        if self.rule.uses_depth and (self.depth is None or self.base_depth is None):
            raise InputError(
                f"the rule '{self.rule.name}' scales with depth",
                where="depth, base_depth",
                found=f"depth {self.depth}, base_depth {self.base_depth}",
                allowed="both, the same where depth does not change",
            )
        if self.base_depth is None:
            object.__setattr__(self, "base_depth", self.depth)

    def __hash__(self) -> int:
        """Of what tells most targets apart; roles and init are mappings, and a rule's own hash is slow."""
        return hash((self.build, self.width, self.depth, self.density, self.rule.name))

    @property
    def depth_ratio(self) -> float:
        """Depth over base depth; 1 where either is not given."""
        return self.depth / self.base_depth if self.depth and self.base_depth else 1.0

    @property
    def shape(self) -> Target:
        """The target without base HPs, eps, roles and init: equal for all targets that only these tell apart."""
        return replace(self, base=BaseHPs(), eps=1.0, roles={}, init={})
