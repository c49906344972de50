"""Reading a frame: what is refused, what is left out and said."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from surfaces import frame

from hptransfer.analysis.cells import DESCRIBED_BY, REQUIRED_COLUMNS, read_cells
from hptransfer.analysis.verdict import judge
from hptransfer.common.errors import InputError


def refusal(rows: pd.DataFrame) -> str:
    with pytest.raises(InputError) as caught:
        read_cells(rows)
    return str(caught.value)


def test_six_columns_of_anybody_elses_tool_are_enough():
    judged = judge(frame()[list(REQUIRED_COLUMNS)], base={"lr": 2.0**-7})
    assert judged.verdicts[0].verdict == "STABLE"


def test_an_empty_store_is_refused_with_what_to_run():
    assert "hptransfer run" in refusal(frame().iloc[:0])
    assert "no trials" in refusal(pd.DataFrame())


def test_missing_columns_are_named():
    text = refusal(frame().drop(columns=["lr", "seed"]))
    assert "columns are missing: lr, seed" in text


def test_mixed_studies_are_refused_by_name():
    text = refusal(pd.concat([frame(), frame().assign(study="other")]))
    assert "several studies" in text
    assert "other" in text


def test_rows_of_other_phases_alone_are_not_judged():
    text = refusal(frame().assign(phase="tune"))
    assert "no rows of phase 'grid'" in text
    assert "tune" in text


def test_probe_rows_do_not_enter():
    rows = pd.concat([frame(), frame().assign(phase="tune", steps=25, loss=99.0)])
    assert judge(rows, base={"lr": 2.0**-7}).verdicts[0].verdict == "STABLE"


def test_a_trial_of_the_grid_that_the_search_ran_first_still_counts():
    """The store keeps a run once, under its first phase; a search trial at another LR stays out."""
    settings = dict.fromkeys(DESCRIBED_BY, "same") | {"rule": "supar", "variant": "", "steps": 100, "depth": 2}
    settings = {k: v for k, v in settings.items() if k not in ("width", "density")}
    rows = frame().assign(**settings)
    centre = (rows["lr"] == 2.0**-7) & (rows["density"] == 1.0) & (rows["seed"] == 0)
    rows.loc[centre, "phase"] = "tune"
    elsewhere = rows[centre].assign(lr=2.0**-7.3)
    other_beta = rows[centre].assign(beta1="another", seed=1)
    read = read_cells(pd.concat([rows, elsewhere, other_beta]))
    assert [c.points.losses.shape for c in read.cells] == [(3, 9)] * 3
    assert all(math.isfinite(x) for c in read.cells for x in c.points.losses.ravel())
    assert read.notes == ("trials of the grid that another phase had run before: 1",)


def test_several_budgets_are_cut_to_the_usual_one_and_said():
    extra = frame().iloc[:10].assign(steps=25, seed=9, loss=9.0)
    read = read_cells(pd.concat([frame(), extra]))
    assert read.notes == ("10 rows of other budgets than 100 steps were left out",)
    assert sum(c.points.losses.size for c in read.cells) == 81


def test_diverged_runs_are_kept_and_pruned_ones_named():
    rows = frame()
    rows.loc[rows["lr"] == 2.0**-3, ["status", "loss"]] = ["diverged", math.nan]
    rows.loc[rows.index[0], ["status", "loss"]] = ["pruned", math.nan]
    read = read_cells(rows)
    assert [c.points.losses[:, -1].tolist() for c in read.cells] == [[math.inf] * 3] * 3
    assert read.notes == ("1 pruned rows were left out",)
    assert sum(math.isnan(x) for c in read.cells for x in c.points.losses.ravel()) == 1


def test_a_finite_loss_of_a_diverged_run_does_not_count():
    rows = frame()
    rows.loc[rows["lr"] == 2.0**-3, ["status", "loss"]] = ["diverged", 0.1]
    assert judge(rows, base={"lr": 2.0**-7}).cells["n_diverged"].tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("density", 1.5, "at most 1"),
        ("lr", -1.0, "above 0"),
        ("lr", "fast", "not a number"),
        ("width", 0, "out of range"),
        ("status", "exploded", "ok, diverged, pruned"),
        ("loss", -0.5, "above 0"),
    ],
)
def test_impossible_values_are_refused_by_column(column, value, part):
    rows = frame()
    rows[column] = rows[column].astype(object)
    rows.loc[rows.index[3], column] = value
    text = refusal(rows)
    assert column in text
    assert part in text


def test_two_different_losses_for_one_run_name_the_column_that_differs():
    twin = frame().iloc[[5]].assign(loss=9.0, weight_decay=0.3)
    text = refusal(pd.concat([frame().assign(weight_decay=0.1), twin]))
    assert "weight_decay" in text
    assert "variant" in text


def test_the_same_run_twice_is_one_run():
    assert read_cells(pd.concat([frame(), frame()])).cells[0].points.losses.shape == (3, 9)


def test_a_series_of_two_optimizers_is_refused():
    rows = frame()
    rows["optimizer"] = ["adamw"] * 40 + ["sgd"] * 41
    assert "mixes several values of optimizer" in refusal(rows)


def test_a_second_sweep_is_judged_at_the_base_and_said():
    rows = pd.concat([frame(), frame().assign(init_std=0.1, loss=lambda f: f["loss"] + 1)])
    read = read_cells(rows, {"init_std": 0.1})
    assert read.swept == "lr"
    assert "several init_std were run; judged at init_std = 0.1" in read.notes[0]
    assert read.cells[0].points.losses.min() > 3.5
