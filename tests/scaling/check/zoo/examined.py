"""Other people's models put to the check: as they are, and with the exponents of one matrix off by a half."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hptransfer.scaling.check.measure import (
    CheckSettings,
    CheckVerdict,
    assert_coordinates,
    coordinate_check,
    judge_check,
)
from hptransfer.scaling.rules import rule_from_table
from hptransfer.study.base import BaseHPs

__all__ = ["PLANTED", "examined", "examined_with"]

DRAW = torch.Generator().manual_seed(0)
TOKENS = torch.multinomial(1 / torch.arange(1, 65.0), 8 * 9, replacement=True, generator=DRAW).view(8, 9)
BASE = BaseHPs(lr=2**-8, init_std=0.05)
WIDTHS = (64, 256)

RIGHT = {"lr": {"width": -1}, "init_std": {"width": -1 / 2}, "eps": {"width": -1}}
PLANTED = {
    "aligned_update": {"lr": {"width": -1 / 2}},
    "activation": {"init_std": {"width": 0}},
}
"""What is planted in one matrix, by the kind of size that shows it."""


def settings(seeds: int, roles: dict[str, str] | None = None) -> CheckSettings:
    return CheckSettings(base_width=64, depth=1, steps=1, seeds=tuple(range(seeds)), base=BASE, roles=roles)


def examined(build: Callable[..., nn.Module]) -> CheckVerdict:
    """The verdict on a model at μP; raises unless it passes."""
    return assert_coordinates(build, TOKENS, axis="width", widths=WIDTHS, rule="mup", settings=settings(8))


def examined_with(planted: str, matrix: str, build: Callable[..., nn.Module]) -> CheckVerdict:
    """The verdict where one matrix, and no other, has another exponent: it alone has the role `residual`."""
    table = {"like": "mup", "residual_init": "none", "adamw": {"residual": RIGHT | PLANTED[planted]}}
    rule, named = rule_from_table(f"off-by-{planted}", table), settings(16, {matrix: "residual"})
    return judge_check(coordinate_check(build, TOKENS, widths=WIDTHS, rules=(rule,), settings=named), axis="width")
