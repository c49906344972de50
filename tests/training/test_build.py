"""From a trial to what a program is made of: each table once, and what the trial's entries say of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_trials import EAGER, small_trial

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import SparsitySpec
from hptransfer.training import build
from hptransfer.training.build import batch_of, batch_shape, data_of, initial_state, table_of, target_of, tensor_shapes
from hptransfer.training.flops import cost_of
from hptransfer.training.layout import make_layout
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every target that a scale table is computed of from here on."""
    targets: list[Any] = []
    real = build.scale_table
    monkeypatch.setattr(build, "scale_table", lambda target: targets.append(target) or real(target))
    monkeypatch.setattr(build, "_tables", type(build._tables)())
    forget_programs()
    return targets


def test_a_pack_of_three_computes_three_tables(computed: list[Any]) -> None:
    trials = [small_trial(lr) for lr in (2.0**-9, 2.0**-8, 2.0**-7)]
    assert [outcome.status for outcome in train_pack(trials, EAGER)] == ["ok"] * 3
    assert [target.base.lr for target in computed] == [2.0**-9, 2.0**-8, 2.0**-7]
    cost_of(trials[0])
    assert len(computed) == 3


def test_tables_are_told_apart_by_trial_and_let_go_of(computed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_TABLES", 2)
    for seed in (0, 1, 2, 2, 0):
        table_of(small_trial(seed=seed))
    assert len(computed) == 4  # the first was let go of


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


def test_masks_of_a_trial_have_the_counts_of_its_table() -> None:
    trial = small_trial(density=0.3)
    layout = make_layout(tensor_shapes(trial))
    masks = layout.mask_views(initial_state(trial, layout).masks)
    for row in table_of(trial):
        if row.name in masks:
            assert int(masks[row.name].sum()) == row.nonzeros


def test_a_batch_is_that_of_the_task() -> None:
    trial = small_trial(seed=3)
    assert torch.equal(batch_of(trial, 5), data_of(trial).batch(3, 5, 4, 16))
    assert batch_shape(batch_of(trial, 5)) == [([4, 17], "torch.int64")]
    assert batch_shape({"x": torch.zeros(2, 3), "y": (torch.zeros(2),)}) == [
        ([2, 3], "torch.float32"),
        ([2], "torch.float32"),
    ]


def test_a_density_or_a_number_of_steps_that_is_none_is_refused() -> None:
    doubled, restless = (
        small_trial(sparsity=SparsitySpec(method=f"users_methods:{name}")) for name in ("Doubled", "Restless")
    )
    with pytest.raises(InputError, match=r"Doubled, from .*`rule_density` is a density, in \(0, 1\]; found 1\.5"):
        table_of(doubled)
    with pytest.raises(InputError, match=r"Restless, from .*`every` is a whole number of steps, or 0; found -3"):
        cost_of(restless)
