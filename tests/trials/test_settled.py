"""What a settled study says of one trial: base HPs, variants, swept values, and the entries that it names."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.base import BaseHPs, TunedBase
from hptransfer.study.file import study_of
from hptransfer.study.study import Cell
from hptransfer.study.trial import outside_entries
from hptransfer.trials.settled import Settled, with_values

CELL = Cell(128, 0.25, 3)


def settled(**changes: Any) -> Settled:
    study = study_of({"name": "s", "base": {"width": 32, "depth": 3, "lr": 0.5}} | changes)
    return Settled(study, study.base.hps, "bf16", "data")


def test_a_trial_has_every_choice_made() -> None:
    trial = settled(training={"steps": 7}, sparsity={"kind": "row"}).trial(CELL, rule="mup", seed=4, variant="v")
    assert (trial.width, trial.density, trial.depth, trial.base_width, trial.base_depth) == (128, 0.25, 3, 32, 3)
    assert (trial.rule, trial.seed, trial.variant, trial.data_id) == ("mup", 4, "v", "data")
    assert (trial.training.steps, trial.training.precision, trial.sparsity.kind) == (7, "bf16", "row")
    assert trial.base.lr == 0.5
    assert (trial.task, trial.trainer, trial.versions, trial.axes) == ("language", "packs", {}, {})


def test_a_probe_has_a_budget_and_a_cell_may_have_a_depth_of_its_own() -> None:
    trial = settled().trial(Cell(64, 1.0, 8), rule="supar", seed=0, steps=3)
    assert (trial.training.steps, trial.depth) == (3, 8)


def test_a_rule_of_the_studys_own_travels_with_its_trials() -> None:
    table = {"adamw": {"hidden": {"lr": {"width": -0.5}}}}
    own = settled(rules={"root": table})
    assert own.trial(CELL, rule="root", seed=0).rule_table
    assert not own.trial(CELL, rule="supar", seed=0).rule_table


def test_what_a_search_found_reaches_the_base_hps_and_the_training_settings() -> None:
    base = TunedBase(BaseHPs(lr=0.01, init_std=0.2), {"warmup": 0.3, "beta2": 0.9}, trials=8)
    trial = Settled.from_base(settled().study, base, "fp32", "").trial(CELL, rule="supar", seed=0)
    assert (trial.base.lr, trial.base.init_std) == (0.01, 0.2)
    assert (trial.training.warmup, trial.training.beta2, trial.training.beta1) == (0.3, 0.9, 0.9)


def test_values_out_of_range_are_refused_by_their_name() -> None:
    with pytest.raises(InputError, match=r"base\.lr: is out of range"):
        settled().with_hps({"lr": -1.0})
    with pytest.raises(InputError, match=r"training\.warmup: is out of range"):
        settled().with_hps({"warmup": 2.0})


def test_a_variant_changes_what_it_names_and_the_tuned_hps_hold_otherwise() -> None:
    grid = {"variants": {"plain": {}, "hot": {"base.lr": "2^-1", "training.decay": "coupled"}}}
    variants = settled(grid=grid).with_hps({"lr": 0.25, "init_std": 0.125}).variants()
    assert {name: v.hps.lr for name, v in variants.items()} == {"plain": 0.25, "hot": 0.5}
    assert {name: v.study.training.decay for name, v in variants.items()} == {"plain": "independent", "hot": "coupled"}
    assert variants["hot"].hps.init_std == 0.125
    assert list(settled().variants()) == [""]


SP = {"base.lr": "2^-3", "base.init_std": 0.02, "training.clip": 0, "model.options.base_head_size": None}
MODEL = {"options": {"head_size": 8, "base_head_size": 1}}


def test_a_rule_may_have_settings_of_its_own_and_tuning_leaves_them_alone() -> None:
    found = settled(model=MODEL, grid={"by_rule": {"sp": SP}}).with_hps({"lr": 0.25, "alpha_input": 9.0})
    sp, mup = (found.trial(CELL, rule=rule, seed=0) for rule in ("sp", "mup"))
    assert (sp.base.lr, sp.base.init_std, sp.base.alpha_input) == (0.125, 0.02, 9.0)
    assert (sp.training.clip, sp.model.options) == (0, {"head_size": 8, "base_head_size": None})
    assert (mup.base.lr, mup.base.init_std, mup.training.clip) == (0.25, 0.05, 1.0)
    assert mup.model.options["base_head_size"] == 1
    assert mup.id == settled(model=MODEL).with_hps({"lr": 0.25, "alpha_input": 9.0}).trial(CELL, rule="mup", seed=0).id


def test_multiples_are_of_the_rules_own_value() -> None:
    found = settled(grid={"rules": ["sp", "supar"], "lr_multiples": [1, 2], "by_rule": {"sp": SP}})
    swept = {series.name: series.settled.swept() for series in found.series()}
    assert swept["sp"] == {"lr": (0.125, 0.25), "init_std": (0.02,)}
    assert swept["supar"] == {"lr": (0.5, 1.0), "init_std": (0.05,)}
    assert [t.base.lr for t in found.series()[0].trials(CELL)][::3] == [0.125, 0.25]


def test_a_variant_has_the_last_word_on_a_rules_own_settings() -> None:
    """Series come variant by variant, each with its rules, as without settings of their own."""
    grid = {"rules": ["sp", "mup"], "by_rule": {"sp": SP}, "variants": {"plain": {}, "hot": {"base.lr": 1}}}
    series = settled(grid=grid).series()
    assert [one.name for one in series] == ["sp · plain", "mup · plain", "sp · hot", "mup · hot"]
    assert [one.trial(CELL, 0, {}).base.lr for one in series] == [0.125, 0.5, 1.0, 1.0]
    assert [one.trial(CELL, 0, {}).base.init_std for one in series] == [0.02, 0.05, 0.02, 0.05]


def test_a_rule_that_is_named_and_overrides_nothing_is_as_the_others() -> None:
    assert settled(grid={"by_rule": {"sp": {}}}).trial(CELL, rule="sp", seed=0).base.lr == 0.5


def test_swept_axes_come_with_their_values_in_the_order_of_lr_init_and_the_others_as_written() -> None:
    sweep = {"alpha_output": {"values": [1, 2]}, "weight_decay": {"multiples": [0.5, 1]}, "lr": {"multiples": [1, 2]}}
    assert list(settled(grid={"sweep": sweep}).swept().items()) == [
        ("lr", (0.5, 1.0)),
        ("init_std", (0.05,)),
        ("alpha_output", (1.0, 2.0)),
        ("weight_decay", (0.05, 0.1)),
    ]


def test_multiples_of_nothing_are_refused() -> None:
    none = settled(base={"weight_decay": 0}, grid={"sweep": {"weight_decay": {"multiples": [1, 2]}}})
    with pytest.raises(InputError, match=r"grid\.sweep\.weight_decay\.multiples: .*base value above 0"):
        none.swept()


def test_a_base_hp_goes_where_base_hps_are_and_leaves_no_other_trace() -> None:
    trial = settled().trial(CELL, rule="supar", seed=0)
    assert with_values(trial, {"alpha_input": 2.0}) == trial.model_copy(
        update={"base": trial.base.model_copy(update={"alpha_input": 2.0})}
    )


def test_a_value_of_an_outside_axis_is_recorded_and_its_version_with_it() -> None:
    trial = settled().trial(CELL, rule="supar", seed=0)
    plain = with_values(trial, {"outside_axes:EPS": 1e-6})
    versioned = with_values(trial, {"outside_axes:MOMENTUM": 0.5})
    assert (plain.training.eps, plain.axes, plain.versions) == (1e-6, {"outside_axes:EPS": 1e-6}, {})
    assert versioned.training.momentum == 0.5
    assert versioned.versions == {"outside_axes:MOMENTUM": "2"}
    assert len({trial.id, plain.id, versioned.id}) == 3


def test_an_axis_that_gives_back_no_trial_is_told_by_its_file() -> None:
    with pytest.raises(InputError, match=r"BROKEN, from .*outside_axes\.py, breaks the contract.*`put`.*found None"):
        with_values(settled().trial(CELL, rule="supar", seed=0), {"outside_axes:BROKEN": 1.0})


def test_outside_entries_are_named_and_their_versions_too(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_entries.py").write_text("class Lion:\n    version = 3\nclass Plain:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    own = settled(
        task="my_entries:Plain",
        trainer="my_entries:Plain",
        training={"optimizer": "my_entries:Lion"},
        sparsity={"method": "my_entries:Plain"},
    )
    assert set(outside_entries(own.study)) == {"my_entries:Plain", "my_entries:Lion"}
    trial = own.trial(CELL, rule="supar", seed=0)
    assert trial.versions == {"my_entries:Lion": "3"}
    assert (trial.task, trial.trainer) == ("my_entries:Plain", "my_entries:Plain")
    assert (trial.training.optimizer, trial.sparsity.method) == ("my_entries:Lion", "my_entries:Plain")


def test_an_optimizer_to_which_another_leaves_roles_is_an_entry_too(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_optimizers.py").write_text(
        "class Outer:\n    others = 'my_optimizers:Inner'\n"
        "class Inner:\n    version, others = 7, 'my_optimizers:Outer'\n"  # a circle ends
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    trial = settled(training={"optimizer": "my_optimizers:Outer"}).trial(CELL, rule="supar", seed=0)
    assert trial.entries == ("my_optimizers:Outer", "my_optimizers:Inner")
    assert trial.versions == {"my_optimizers:Inner": "7"}


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("SOWING", 1e-6, "leaves cell, rule, seed and data alone; it changed some; found .*seed"),
        ("EPS", -1.0, "a trial that is valid; at -1 it is not: training.eps"),
    ],
)
def test_an_axis_whose_trial_is_not_what_its_value_says_is_refused(name: str, value: float, rule: str) -> None:
    with pytest.raises(InputError, match=rf"outside_axes:{name}, from .*outside_axes\.py, .*`put`.*{rule}"):
        with_values(settled().trial(CELL, rule="supar", seed=0), {f"outside_axes:{name}": value})


def test_an_axis_without_a_value_at_the_base_is_refused() -> None:
    own = settled(grid={"sweep": {"outside_axes:BASELESS": {"multiples": [1, 2]}}})
    with pytest.raises(InputError, match=r"BASELESS, from .*`at_base` is a finite number above 0; found None"):
        own.swept()


def test_an_axis_whose_values_come_to_one_trial_is_refused_and_is_asked_for_no_other_values() -> None:
    def trials(axis: str, *values: float) -> list[Any]:
        own = settled(grid={"sweep": {f"outside_axes:{axis}": {"values": list(values)}}, "seeds": 1})
        return list(own.series()[0].trials(CELL))

    assert {trial.training.batch_size for trial in trials("BATCH", 1, 2, 4)} == {1, 2, 4}
    for axis, values in (("IDLE", (1.0, 2.0)), ("BATCH", (2.0, 2.25))):
        with pytest.raises(InputError, match=rf"{axis}, from .*`put` gives another trial for another value; found \("):
            trials(axis, *values)
