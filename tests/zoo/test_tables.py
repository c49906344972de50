"""Every parameter of every model: role, fan-in, how it starts, LR and multipliers, against a table made by hand."""

from __future__ import annotations

import warnings
from fnmatch import fnmatchcase

import pytest

pytest.importorskip("transformers")

from zoo.entries import ENTRIES
from zoo.entry import BASE, BASE_WIDTH, Entry, Line

from hptransfer.scaling.parametrize import InitWarning, parametrize
from hptransfer.scaling.table import TensorScale

RULES = {"mup": 1.0, "supar": 1 / 4}
"""Each at its density."""


def line_of(entry: Entry, name: str) -> Line:
    """The one line that speaks of a parameter."""
    (line,) = (line for line in entry.lines if fnmatchcase(name, line.pattern))
    return line


def by_hand(line: Line, density: float) -> tuple[object, ...]:
    """What a line says, at a density."""
    rho = density if line.thinned else 1.0
    std = 0.0 if isinstance(line.starts, str) else BASE.init_std * line.starts / rho**0.5
    starts = line.starts if isinstance(line.starts, str) else "normal"
    numbers = (std, line.lr / rho, *line.multipliers)
    return (line.role, line.fan_in, starts, rho, *(pytest.approx(number, rel=1e-6) for number in numbers))


def told(row: TensorScale) -> tuple[object, ...]:
    multipliers = [use.multiplier for use in row.uses]
    return (row.role, row.fan_in, row.init, row.density, row.init_std, row.lr_scale, *multipliers)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_parameter_is_what_the_hand_made_table_says(entry: Entry, rule: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InitWarning)
        scaled = parametrize(
            entry.build,
            width=2 * BASE_WIDTH,
            base_width=BASE_WIDTH,
            rule=rule,
            density=RULES[rule],
            base=BASE,
            depth=entry.depth,
            roles=entry.roles,
            queries=entry.queries,
            sample=entry.sample,
        )
    expected = {row.name: by_hand(line_of(entry, row.name), RULES[rule]) for row in scaled.table}
    assert {row.name: told(row) for row in scaled.table} == expected
    groups = {name: group["lr_scale"] for group in scaled.param_groups for name in group["tensors"]}
    assert groups == {name: values[5] for name, values in expected.items()}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_line_speaks_of_a_parameter(entry: Entry) -> None:
    names = [name for name, _ in entry.build(width=BASE_WIDTH).named_parameters()]
    assert [line.pattern for line in entry.lines if not any(fnmatchcase(n, line.pattern) for n in names)] == []
