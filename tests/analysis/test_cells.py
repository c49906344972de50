"""Reading a frame: what is refused, what is left out and said."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from surfaces import frame

from hptransfer.analysis.cells import DESCRIBED_BY, REQUIRED_COLUMNS, CellKey, read_cells, with_axis_columns
from hptransfer.analysis.verdict import judge
from hptransfer.common.errors import InputError
from hptransfer.common.seams import SCALED

TEMPERATURE = "mine.axes:TEMPERATURE"
"""A swept axis whose code is nowhere: rows are read without it."""


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
    told = read_cells(rows.assign(entries='{"lab:Lion": "source 1"}'))
    assert told.notes == read.notes  # a changed source is asked about when the study runs
    entries = rows["phase"].map({"tune": '{"lab:Lion": "version 1"}', "grid": '{"lab:Lion": "version 2"}'})
    assert read_cells(rows.assign(entries=entries)).notes == ()  # an earlier version came to other numbers
    assert [p.losses.shape for p in read.points.values()] == [(3, 9)] * 3
    assert all(math.isfinite(x) for p in read.points.values() for x in p.losses.ravel())
    assert read.notes == ("trials of the grid that another phase had run before: 1",)


def test_several_budgets_are_cut_to_the_usual_one_and_said():
    extra = frame().iloc[:10].assign(steps=25, seed=9, loss=9.0)
    read = read_cells(pd.concat([frame(), extra]))
    assert read.notes == ("10 rows of other budgets than 100 steps were left out",)
    assert sum(p.losses.size for p in read.points.values()) == 81


def test_diverged_runs_are_kept_and_pruned_ones_named():
    rows = frame()
    rows.loc[rows["lr"] == 2.0**-3, ["status", "loss"]] = ["diverged", math.nan]
    rows.loc[rows.index[0], ["status", "loss"]] = ["pruned", math.nan]
    read = read_cells(rows)
    assert [p.losses[:, -1].tolist() for p in read.points.values()] == [[math.inf] * 3] * 3
    assert read.notes == ("1 pruned rows were left out",)
    assert sum(math.isnan(x) for p in read.points.values() for x in p.losses.ravel()) == 1


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
        ("width", 64.5, "column width: value out of range; found 64.5; allowed: a whole number above 0"),
        ("depth", 2.5, "column depth: value out of range; found 2.5"),
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
    twin = frame().iloc[[5]].assign(loss=9.0, warmup=0.3)
    text = refusal(pd.concat([frame().assign(warmup=0.1), twin]))
    assert "warmup" in text
    assert "variant" in text


def test_the_same_run_twice_is_one_run():
    assert next(iter(read_cells(pd.concat([frame(), frame()])).points.values())).losses.shape == (3, 9)


def test_a_series_of_two_optimizers_is_refused():
    rows = frame()
    rows["optimizer"] = ["adamw"] * 40 + ["sgd"] * 41
    assert "mixes several values of optimizer" in refusal(rows)


def test_a_second_sweep_is_judged_at_the_base_and_said():
    rows = pd.concat([frame(), frame().assign(init_std=0.1, loss=lambda f: f["loss"] + 1)])
    read = read_cells(rows, {"init_std": 0.1})
    assert read.swept == "lr"
    assert "several init_std were run; judged at init_std = 0.1" in read.notes[0]
    assert next(iter(read.points.values())).losses.min() > 3.5


def swept_as(name: str) -> pd.DataFrame:
    """The usual rows, with another hyperparameter swept and the LR at one value."""
    return frame().assign(lr=0.01, **{name: frame()["lr"]})


@pytest.mark.parametrize("name", ["init_std", "weight_decay", "alpha_input", "alpha_output", TEMPERATURE])
def test_whatever_varies_within_a_cell_was_swept(name):
    read = read_cells(swept_as(name))
    assert read.swept == name
    assert [p.x.tolist() for p in read.points.values()] == [list(range(-11, -2))] * 3
    assert read.notes == ()


def stored(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """With values of swept axes in one column of JSON, as the store keeps those from outside."""
    texts = [json.dumps(values) for values in rows[list(names)].to_dict("records")]
    return rows.drop(columns=list(names)).assign(axes=texts)


def test_the_store_keeps_axes_from_outside_as_json():
    read = read_cells(stored(swept_as(TEMPERATURE), TEMPERATURE))
    assert read.swept == TEMPERATURE
    assert next(iter(read.points.values())).losses.shape == (3, 9)


def test_rows_without_axes_from_outside_have_an_empty_object():
    assert read_cells(frame().assign(axes="{}")).swept == "lr"
    assert list(with_axis_columns(pd.DataFrame({"lr": [1.0], "axes": [None]}))) == ["lr"]


def test_axes_that_are_no_object_are_refused():
    for text in ("fast", "[1]", "3"):
        assert "results, column axes: not a JSON object" in refusal(frame().assign(axes=text))


def test_rows_from_before_an_axis_was_swept_are_left_out_and_said():
    rows = pd.concat([swept_as(TEMPERATURE), frame().iloc[:4].assign(lr=0.01)], ignore_index=True)
    read = read_cells(rows)
    assert read.swept == TEMPERATURE
    assert read.notes == (f"4 rows without a value of {TEMPERATURE} were left out",)


def test_a_swept_value_that_has_no_log_is_refused():
    rows = swept_as("weight_decay")
    rows.loc[rows.index[3], "weight_decay"] = 0.0
    assert refusal(rows).startswith("results, column weight_decay: value out of range; found 0.0")


def test_of_several_swept_axes_the_lr_is_judged_at_one_value_of_each_other():
    """Without a base the middle one of three; of an axis from outside too."""
    rows = pd.concat([frame().assign(weight_decay=w, **{TEMPERATURE: t}) for w in (0.1, 0.2, 0.4) for t in (1.0, 2.0)])
    read = read_cells(stored(rows, TEMPERATURE), {"lr": 2.0**-7, TEMPERATURE: 2.0})
    assert read.swept == "lr"
    assert read.notes == (
        "several weight_decay were run; judged at weight_decay = 0.2 (324 rows left out)",
        f"several {TEMPERATURE} were run; judged at {TEMPERATURE} = 2 (81 rows left out)",
    )
    assert [p.losses.shape for p in read.points.values()] == [(3, 9)] * 3


def test_a_series_of_an_own_value_is_judged_at_that():
    """SP ran three init stds around its own 0.02, SμPar three around the base's 0.08."""
    ran = [(rule, std * m) for rule, std in (("sp", 0.02), ("supar", 0.08)) for m in (0.25, 1, 4)]
    rows = pd.concat(
        [frame(rules={rule: 0.0}).assign(init_std=std, loss=lambda f, std=std: f["loss"] + std) for rule, std in ran]
    )
    for base in ({"lr": 2.0**-7, "init_std": 0.08}, None):
        read = read_cells(rows, base, {"sp": {"init_std": 0.02}})
        assert read.notes == ("several init_std were run; judged at init_std = 0.02 or 0.08 (324 rows left out)",)
        assert {points.losses.shape for points in read.points.values()} == {(3, 9)}
        lowest = {key.rule: float(points.losses.min()) for key, points in read.points.items()}
        assert lowest["supar"] - lowest["sp"] == pytest.approx(0.06)


def test_a_hyperparameter_tied_to_the_lr_is_no_axis_of_its_own():
    """Other tools set a decay in proportion to 1/LR: there is nothing to slice."""
    read = read_cells(frame().assign(weight_decay=lambda f: 1e-3 / f["lr"]))
    assert next(iter(read.points.values())).losses.shape == (3, 9)
    assert read.notes == ("weight_decay moves together with lr, value by value",)


def test_one_that_takes_fewer_values_than_the_lr_is_sliced():
    """Half of the LRs ran at one init std, half at another: two curves, of which one is judged."""
    rows = frame().assign(init_std=lambda f: f["lr"].gt(2.0**-7).map({True: 0.1, False: 0.05}))
    read = read_cells(rows, {"init_std": 0.05})
    assert [p.x.tolist() for p in read.points.values()] == [[-11.0, -10.0, -9.0, -8.0, -7.0]] * 3


def test_a_search_trial_at_another_value_of_a_swept_axis_is_none_of_the_grid():
    settings = dict.fromkeys(DESCRIBED_BY, "same") | {"rule": "supar", "variant": "", "steps": 100, "depth": 2}
    settings = {k: v for k, v in settings.items() if k not in ("width", "density", "weight_decay")}
    rows = frame().rename(columns={"lr": "weight_decay"}).assign(lr=0.01, **settings)
    first = (rows["weight_decay"] == 2.0**-7) & (rows["density"] == 1.0)
    rows.loc[first, "phase"] = "tune"
    read = read_cells(pd.concat([rows, rows[first].assign(weight_decay=2.0**-7.3)]))
    assert read.swept == "weight_decay"
    assert read.notes == ("trials of the grid that another phase had run before: 3",)
    assert [p.losses.shape for p in read.points.values()] == [(3, 9)] * 3


def test_a_series_of_two_tasks_is_refused():
    rows = frame()
    rows["task"] = ["language"] * 40 + ["mine.tasks:labels"] * 41
    assert "mixes several values of task" in refusal(rows)


def test_a_cell_is_told_by_width_and_density_and_by_the_depth_where_it_varies():
    two = pd.concat([frame(densities=(1.0, 0.25)), frame(densities=(1.0, 0.25)).assign(depth=4)])
    assert read_cells(frame()).words() == ["width 64, density 1/16", "width 64, density 1/4", "width 64, density 1"]
    assert read_cells(two).words()[:2] == ["width 64, density 1/4, depth 2", "width 64, density 1/4, depth 4"]


def test_a_key_knows_its_place():
    key = CellKey("supar", "short", (("width", 64), ("density", 0.25), ("depth", 2)))
    assert (key.width, key.density, key.depth, key["batch_size"]) == (64, 0.25, 2, 0)
    assert key.but("density") == (("width", 64), ("depth", 2))
    assert key.series == "supar · short"


def test_a_further_scaled_axis_makes_a_place_where_a_series_is_scaled_along_it(monkeypatch):
    """Without the entry the same rows mix two questions; with one value of it nothing changes. Budgets may differ."""
    rows = pd.concat([frame().assign(batch_size=16), frame().assign(batch_size=32, steps=50)])
    assert "mixes several values of batch_size" in refusal(rows.assign(steps=100))
    monkeypatch.setitem(SCALED.built_in, "batch_size", "surfaces:BATCH_SIZE")
    read = read_cells(rows)
    assert read.words()[:2] == ["width 64, density 1/16, batch size 16", "width 64, density 1/16, batch size 32"]
    assert [p.losses.shape for p in read.points.values()] == [(3, 9)] * 6
    assert read_cells(rows[rows["batch_size"] == 16]).words()[0] == "width 64, density 1/16"
    rows.loc[rows["batch_size"] == 16, "batch_size"] = None
    rows = pd.concat([rows, frame().assign(batch_size=64)])
    assert "results, column batch_size: value out of range" in refusal(rows)
