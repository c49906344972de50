"""The target that a command line names: a rule applied at a width, depth and density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hptransfer.common.errors import InputError
from hptransfer.drive.request import Request
from hptransfer.drive.settle import existing_store, settled_by
from hptransfer.scaling.rules import known_rules
from hptransfer.study.pieces import parse_number
from hptransfer.study.study import Cell
from hptransfer.study.trial import Trial
from hptransfer.trials.checks import unknown_rule

__all__ = ["target_trial"]


def target_trial(given: Mapping[str, Any]) -> tuple[Trial, str]:
    """The trial that stands for the target of a command line, and where its base HPs came from.

    What is not said is the grid's largest width, its lowest density and the base depth.
    """
    rule, width, depth, density = (given[name] for name in ("rule", "width", "depth", "density"))
    request = Request.from_command_line(given)
    settled, _, source = settled_by(request, existing_store(request))
    study = settled.study
    share = parse_number(density) if density is not None else min(cell.density for cell in study.cells)
    if not isinstance(share, float) or not 0 < share <= 1:
        raise InputError("a density is a share of weights", where="--density", found=density, allowed="(0, 1]")
    known = (*known_rules(), *study.rules)
    if rule not in known:
        raise unknown_rule(rule, "--rule", known)
    cell = Cell(width or max(cell.width for cell in study.cells), share, depth or study.base.depth)
    if rule in study.grid.by_rule:
        source += f", and {rule}'s own in grid.by_rule"
    return settled.trial(cell, rule=rule, seed=0), source
