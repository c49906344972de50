"""From a trial to what a program is made of: each table once, and what the trial's entries say of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from small_trials import EAGER, small_trial
from users_models import ThreeBranches

from hptransfer.common.errors import InputError
from hptransfer.scaling import table
from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.pieces import DataSpec, ModelSpec, SparsitySpec
from hptransfer.training.build import initial_state, table_of, target_of, tensor_shapes
from hptransfer.training.flops import cost_of
from hptransfer.training.layout import make_layout
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every model that is surveyed for a scale table from here on."""
    found: list[Any] = []
    real = table.survey
    monkeypatch.setattr(table, "survey", lambda build, **how: found.append(how) or real(build, **how))
    table._factor_table.cache_clear()
    forget_programs()
    return found


def test_a_pack_of_three_computes_one_table(surveyed: list[Any]) -> None:
    bases = [{"lr": 2.0**-9, "init_std": 0.05}, {"lr": 2.0**-8, "init_std": 0.1}, {"lr": 2.0**-7, "weight_decay": 0}]
    trials = [small_trial(base=base) for base in bases]
    assert [outcome.status for outcome in train_pack(trials, EAGER)] == ["ok"] * 3
    cost_of(trials[0])
    assert len(surveyed) == 1
    assert [table_of(trial)[0].lr for trial in trials] == [base["lr"] for base in bases]


def test_what_shapes_a_model_or_what_the_rule_sees_computes_another(surveyed: list[Any]) -> None:
    for trial in (small_trial(), small_trial(density=0.25), small_trial(width=64), small_trial(rule="sp")):
        table_of(trial), table_of(trial)
    assert [how["width"] for how in surveyed] == [32, 32, 64, 32]


def test_a_rules_table_is_that_of_the_optimizer() -> None:
    assert target_of(small_trial()).optimizer == "adamw"
    assert target_of(small_trial(training={"optimizer": "users_optimizers:Normed"})).optimizer == "adamw"


def test_a_rule_sees_the_density_that_the_method_says() -> None:
    def row(method: str, density: float) -> Any:
        trial = small_trial(density=density, sparsity=SparsitySpec(method=method))
        return next(r for r in table_of(trial) if r.name == "blocks.0.ffn.up.weight")

    half, quarter = row("users_methods:Halved", 0.5), row("static", 0.25)
    assert (half.lr, half.init_std) == (quarter.lr, quarter.init_std)
    assert (half.density, half.nonzeros) == (0.5, row("static", 0.5).nonzeros)


def test_a_trial_of_a_factory_without_depth_has_the_table_of_a_hand_loop_that_says_none() -> None:
    data = DataSpec(source="synthetic", vocab_size=16)
    trial = small_trial(model=ModelSpec(factory="users_models:ThreeBranches"), data=data)
    by_hand = parametrize(
        partial(ThreeBranches, vocab_size=16),
        width=32,
        base_width=16,
        density=0.5,
        base=trial.base,
        eps=trial.training.eps,
    )
    assert table_of(trial) == by_hand.table
    stds = {row.name: row.init_std for row in table_of(trial)}
    assert stds["downs.0.weight"] == pytest.approx(stds["ups.0.weight"] / 3**0.5)


def test_masks_of_a_trial_have_the_counts_of_its_table() -> None:
    trial = small_trial(density=0.3)
    layout = make_layout(tensor_shapes(trial))
    masks = layout.mask_views(initial_state(trial, layout).masks)
    for row in table_of(trial):
        if row.name in masks:
            assert int(masks[row.name].sum()) == row.nonzeros


def test_a_density_or_a_number_of_steps_that_is_none_is_refused() -> None:
    doubled, restless = (
        small_trial(sparsity=SparsitySpec(method=f"users_methods:{name}")) for name in ("Doubled", "Restless")
    )
    with pytest.raises(InputError, match=r"Doubled, from .*`rule_density` is a density, in \(0, 1\]; found 1\.5"):
        table_of(doubled)
    with pytest.raises(InputError, match=r"Restless, from .*`every` is a whole number of steps, or 0; found -3"):
        cost_of(restless)
