"""Every axis that ships keeps its promises, and the suite finds the ones that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broken import broken_rule

from hptransfer.common.seams import AXES, SCALED
from hptransfer.study.axes import LR, WIDTH, HyperparameterAxis
from hptransfer.study.base import BaseHPs
from hptransfer.study.trial import Trial
from hptransfer.testing import ContractError, check_axis, check_scaled_axis


@pytest.mark.parametrize("name", AXES.built_in)
def test_what_ships_keeps_its_promises(name: str) -> None:
    check_axis(name)


@pytest.mark.parametrize("name", SCALED.built_in)
def test_what_ships_to_be_scaled_keeps_its_promises(name: str) -> None:
    check_scaled_axis(name)


class Axis:
    """A temperature of the model."""

    name, label = "temperature", "temperature"

    def at_base(self, base: BaseHPs) -> float:
        return 1.0

    def put(self, trial: Trial, value: float) -> Trial:
        options = {**trial.model.options, "temperature": value}
        return trial.model_copy(update={"model": trial.model.model_copy(update={"options": options})})


class Deaf(Axis):
    def put(self, trial: Trial, value: float) -> Trial:
        return trial


class Piling(Axis):
    def put(self, trial: Trial, value: float) -> Trial:
        before = trial.model.options.get("temperature", 1.0)
        return super().put(trial, before * value)


class InPlace(Axis):
    def put(self, trial: Trial, value: float) -> Trial:
        put = super().put(trial, value)
        trial.model.options["touched"] = True
        return put


class Reseeding(Axis):
    def put(self, trial: Trial, value: float) -> Trial:
        return super().put(trial, value).model_copy(update={"seed": 7})


class Nothing(Axis):
    def at_base(self, base: BaseHPs) -> float:
        return 0.0


class Unsendable(Axis):
    def put(self, trial: Trial, value: float) -> Trial:
        return trial.model_copy(update={"axes": {"temperature": str(value)}})


def test_an_axis_of_ones_own_does_too() -> None:
    check_axis(Axis)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("axis", "rule", "found"),
    [
        (Deaf, "`put` gives a trial whose id tells the value", "one id for two values"),
        (Piling, "`put` gives a trial whose id tells the value", "an earlier value left a trace"),
        (InPlace, "`put` leaves the trial it is given as it was", "the trial changed in place"),
        (Reseeding, "`put` changes neither the cell of a trial nor its rule, its seed", "seed changed"),
        (Nothing, "`at_base` is a finite number above 0", "0.0"),
        (Unsendable, "can be sent to a worker as JSON", "ValidationError"),
    ],
)
def test_a_broken_one_is_told_which_rule_it_breaks(axis: type[Axis], rule: str, found: str) -> None:
    error = broken_rule(lambda: check_axis(axis), __file__)
    assert rule in error.rule
    assert found in error.found


def test_an_axis_without_a_label_is_found() -> None:
    with pytest.raises(ContractError, match=r"`name` and `label` are texts. Found: ''"):
        check_axis(HyperparameterAxis("lr", ""))
    check_axis(LR)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"name": "breadth"}, "`name` is a field of a trial and of a cell"),
        ({"grid_key": "widhts"}, "`grid_key` is a list of the study's grid"),
    ],
)
def test_a_scaled_axis_that_no_study_knows_is_found(changes: dict[str, str], rule: str) -> None:
    axis = replace(WIDTH, **changes)
    with pytest.raises(ContractError) as caught:
        check_scaled_axis(axis)
    assert rule in caught.value.rule
