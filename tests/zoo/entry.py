"""What the zoo says of one model: how it is built and trained, and by hand what each of its parameters is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.scaling.check.measure import NEXT_TOKEN, CheckSettings, Loss
from hptransfer.study.base import BaseHPs

__all__ = [
    "BASE",
    "BASE_WIDTH",
    "CLASSES",
    "CONTEXT",
    "PICTURES",
    "TOKENS",
    "VOCABULARY",
    "WIDTHS",
    "Entry",
    "Line",
    "classify",
    "hidden",
    "readout",
    "table",
    "vector",
    "writer",
]

BASE_WIDTH, WIDTHS = 64, (64, 256)
VOCABULARY, CONTEXT, CLASSES = 64, 8, 64
BASE = BaseHPs(lr=2**-8, init_std=0.05)

DRAW = torch.Generator().manual_seed(0)
TOKENS = torch.multinomial(1 / torch.arange(1, VOCABULARY + 1.0), 8 * 9, replacement=True, generator=DRAW).view(8, 9)
PICTURES = (torch.randn(8, 3, 8, 8, generator=DRAW), torch.randint(0, CLASSES, (8,), generator=DRAW))


def classify(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The loss of a picture's class."""
    return F.cross_entropy(model(batch[0]), batch[1])


@dataclass(frozen=True)
class Line:
    """One line of a hand-made table: what holds of the parameters that `pattern` names, at twice the base width."""

    pattern: str
    role: str
    fan_in: int
    starts: float | str
    """Init std over the base's under μP; or `zeros`, `ones`, `built`."""
    lr: float
    """LR over base LR under μP."""
    multipliers: tuple[float, ...] = (1.0,)
    """Under μP, one a use."""
    thinned: bool = False
    """Whether a density below 1 masks it: under SμPar a density of ¼ then doubles its std and quadruples its LR."""


def hidden(pattern: str, fan_in: int, m: float = 2.0, queries: float = 1.0) -> Line:
    """A matrix whose fan-in is m times the base's: std σ/√m, LR η/m."""
    return Line(pattern, "hidden", fan_in, m**-0.5, 1 / m, (queries,), thinned=True)


def writer(pattern: str, fan_in: int, m: float = 2.0, of: int = 2) -> Line:
    """A hidden matrix that writes to the stream, to which `of` branches are added."""
    return Line(pattern, "residual", fan_in, (m * of) ** -0.5, 1 / m, thinned=True)


def table(pattern: str, fan_in: int, tied: bool = False) -> Line:
    """What takes the input in: it stays as at the base. Tied, its use as the readout is divided by m."""
    return Line(pattern, "embedding", fan_in, 1.0, 1.0, (1.0, 0.5) if tied else (1.0,))


def readout(pattern: str, fan_in: int) -> Line:
    """What gives the output: std and LR as at the base, its input divided by m."""
    return Line(pattern, "readout", fan_in, 1.0, 1.0, (0.5,))


def vector(pattern: str, starts: str, queries: float = 1.0) -> Line:
    """A bias, a gain, a depthwise kernel."""
    return Line(pattern, "vector", 1, starts, 1.0, (queries,))


@dataclass(frozen=True)
class Entry:
    """One model of the zoo. `build` is importable by its name, as a study's factory is."""

    name: str
    build: Callable[..., nn.Module]
    lines: tuple[Line, ...]
    plant: str
    """The matrix in which an error is planted."""
    beside: tuple[str, ...] = ()
    """Matrices that share its module."""
    depth: int | None = None
    """None where the factory takes none."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """What cannot be told of it and is said."""
    wrong_heads: Mapping[str, Any] | None = None
    """What to change of this entry for attention whose heads grow and whose scale does not follow."""
    queries: tuple[str, ...] | None = None
    batch: Any = TOKENS
    loss: Loss = NEXT_TOKEN
    sample: Any = None
    task: str = "language"

    def __str__(self) -> str:
        return self.name

    @property
    def factory(self) -> str:
        """As a study names it."""
        return f"{self.build.__module__}:{self.build.__name__}"

    def settings(self, seeds: int | tuple[int, ...], roles: Mapping[str, str] | None = None) -> CheckSettings:
        """For the check of its first step; `roles` in the place of its own."""
        return CheckSettings(
            base_width=BASE_WIDTH,
            depth=self.depth,
            steps=1,
            seeds=tuple(range(seeds)) if isinstance(seeds, int) else seeds,
            base=BASE,
            roles=self.roles if roles is None else roles,
            queries=self.queries,
            sample=self.sample,
        )
