"""What holds for every axis of a grid (`hptransfer.study.axes`), swept or scaled."""

from __future__ import annotations

import math

from hptransfer.common.seams import AXES, SCALED
from hptransfer.study.axes import HELD, ScaledAxis, SweptAxis
from hptransfer.study.base import BaseHPs
from hptransfer.study.study import BaseSpec, Cell, GridSpec
from hptransfer.study.trial import Trial
from hptransfer.testing.contract import entry_of, expect, hold
from hptransfer.testing.small import small_trial

__all__ = ["check_axis", "check_scaled_axis"]


def check_axis(axis: object, trial: Trial | None = None) -> None:
    """Hold a swept axis, by name or as it is, to every rule; raises ContractError. `trial` is one it can be put in."""
    hold(entry_of(AXES, axis), RULES, trial or small_trial())


def check_scaled_axis(axis: object) -> None:
    """Hold a scaled axis, by name or as it is, to every rule; raises ContractError."""
    hold(entry_of(SCALED, axis), SCALED_RULES)


def it_has_a_name_and_a_label(axis: SweptAxis, trial: Trial) -> None:
    """`name` and `label` are texts."""
    for said in (axis.name, axis.label):
        expect(isinstance(said, str) and said.strip(), f"{said!r}")


def the_base_has_a_value(axis: SweptAxis, trial: Trial) -> None:
    """`at_base` is a finite number above 0."""
    found = axis.at_base(BaseHPs())
    expect(isinstance(found, float | int) and math.isfinite(found) and found > 0, f"{found!r}")


def a_value_makes_another_trial(axis: SweptAxis, trial: Trial) -> None:
    """`put` gives a trial whose id tells the value: another for another value, the same for the same."""
    low, high = (axis.put(trial, factor * axis.at_base(BaseHPs())) for factor in (0.5, 0.75))
    expect(isinstance(low, Trial), f"a {type(low).__name__}")
    expect(len({low.id, high.id, trial.id}) == 3, "one id for two values")
    again = axis.put(trial, 0.5 * axis.at_base(BaseHPs()))
    expect(again.id == low.id, "two ids for one value")
    expect(axis.put(high, 0.5 * axis.at_base(BaseHPs())).id == low.id, "an earlier value left a trace")


def put_is_pure(axis: SweptAxis, trial: Trial) -> None:
    """`put` leaves the trial it is given as it was."""
    before = (trial.id, trial.model_dump_json())
    axis.put(trial, 0.5 * axis.at_base(BaseHPs()))
    changed = trial.model_copy(update={})
    expect((changed.id, changed.model_dump_json()) == before, "the trial changed in place")


def only_the_value_changes(axis: SweptAxis, trial: Trial) -> None:
    """`put` changes neither the cell of a trial nor its rule, its seed or its data."""
    found = axis.put(trial, 0.5 * axis.at_base(BaseHPs()))
    changed = [field for field in HELD if getattr(found, field) != getattr(trial, field)]
    expect(not changed, f"{', '.join(changed)} changed")


def the_value_travels(axis: SweptAxis, trial: Trial) -> None:
    """A trial with a value can be sent to a worker as JSON and is the same trial there."""
    found = axis.put(trial, 0.5 * axis.at_base(BaseHPs()))
    expect(Trial.model_validate_json(found.model_dump_json()).id == found.id, "another id after a round trip")


RULES = (
    it_has_a_name_and_a_label,
    the_base_has_a_value,
    put_is_pure,
    a_value_makes_another_trial,
    only_the_value_changes,
    the_value_travels,
)


def a_scaled_axis_has_a_name_and_a_label(axis: ScaledAxis) -> None:
    """`name` is a field of a trial and of a cell, `label` a text."""
    expect(axis.name in Trial.model_fields and axis.name in Cell._fields, f"name = {axis.name!r}")
    expect(isinstance(axis.label, str) and axis.label.strip(), f"label = {axis.label!r}")


def a_study_lists_its_values(axis: ScaledAxis) -> None:
    """`grid_key` is a list of the study's grid."""
    expect(axis.grid_key in GridSpec.model_fields, f"grid_key = {axis.grid_key!r}")


def the_proxy_has_a_value(axis: ScaledAxis) -> None:
    """`at_base` is a finite number above 0."""
    found = axis.at_base(BaseSpec())
    expect(math.isfinite(found) and found > 0, f"{found!r}")


def an_octave_is_a_doubling(axis: ScaledAxis) -> None:
    """`octaves` rises by 1 where the value doubles."""
    found = axis.octaves(0.5) - axis.octaves(0.25)
    expect(math.isclose(found, 1.0), f"{found!r} from 1/4 to 1/2")


SCALED_RULES = (
    a_scaled_axis_has_a_name_and_a_label,
    a_study_lists_its_values,
    the_proxy_has_a_value,
    an_octave_is_a_doubling,
)
