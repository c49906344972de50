"""The verdict on whole studies with known truth."""

from __future__ import annotations

import io
import json
import math
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from surfaces import cell, frame, lopsided, quadratic

from hptransfer.analysis.cells import CellKey, CellRows, Cells
from hptransfer.analysis.verdict import judge, judge_prepared
from hptransfer.cli.verdict_table import verdict_table
from hptransfer.study.study import VerdictSpec

DRAWS = 500
CONTRACT = {"rule", "axis", "verdict", "regret", "regret_low", "regret_high", "slope", "slope_low", "slope_high", "why"}
CELL_COLUMNS = {
    *("rule", "variant", "series", "width", "density", "depth", "axis_name", "optimum", "optimum_log2", "optimum_low"),
    *("optimum_high", "curvature", "min_loss", "transferred", "transferred_loss", "regret", "regret_low"),
    *("regret_high", "n_points", "n_seeds", "n_diverged", "status", "why", "suggest"),
}


def rates(drift, seeds, *, curve=None, base=None, noise=0.006, draws=DRAWS, edge=math.inf):
    """Share of each verdict over density 1, 1/4, 1/16 when the optimum moves `drift` octaves an octave of density."""
    rng = np.random.default_rng(seeds)
    x = np.arange(-11.0, -2.0)
    words = []
    for _ in range(draws):
        home = -7 + rng.uniform(-0.5, 0.5)
        rows = tuple(
            CellRows(
                CellKey("supar", "", (("width", 64), ("density", 4.0**-k), ("depth", 2))),
                cell(rng, curve or quadratic(), home - 2 * k * drift, x=x, seeds=seeds, noise=noise, edge=edge),
            )
            for k in range(3)
        )
        given = {"lr": 2.0**home} if base else None
        words.append(judge_prepared(Cells(rows, "lr", ()), VerdictSpec(), given).verdicts[0].verdict)
    return {word: words.count(word) / draws for word in ("STABLE", "DRIFT", "INCONCLUSIVE")}


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("base", [True, False], ids=["base given", "base fitted"])
def test_half_an_octave_an_octave_is_hardly_ever_called_stable(seeds, base):
    found = rates(-0.5, seeds, base=base, draws=DRAWS if base else 200)
    assert found["STABLE"] < 0.05
    assert found["DRIFT"] > 0.9


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("base", [True, False], ids=["base given", "base fitted"])
def test_no_drift_is_hardly_ever_called_drift_and_often_stable(seeds, base):
    found = rates(0.0, seeds, base=base, noise=0.004, draws=DRAWS if base else 200)
    assert found["DRIFT"] < 0.05
    assert found["STABLE"] > 0.9


def test_on_the_margin_stable_is_said_at_most_one_time_in_twenty():
    assert rates(-0.1, 3, base=True, noise=0.003, draws=300)["STABLE"] <= 0.05


def test_a_regret_just_below_delta_is_hardly_ever_called_drift():
    """0.1677 octaves an octave over four octaves of density: 0.03 · 0.671² / 3 = 0.45%, under the 0.5% allowed."""
    assert rates(-0.1677, 3, base=True, noise=0.004, draws=300)["DRIFT"] < 0.05


def test_lopsided_curves_with_a_cliff_are_judged_alike():
    assert rates(0.0, 3, curve=lopsided(), base=True, noise=0.004, draws=150, edge=3.0)["STABLE"] > 0.9
    assert rates(-0.5, 3, curve=lopsided(), base=True, noise=0.004, draws=150, edge=3.0)["STABLE"] < 0.02


def test_too_much_noise_is_inconclusive():
    assert rates(0.0, 2, base=True, noise=0.08, draws=100)["INCONCLUSIVE"] > 0.8


def only(judgement, **wanted):
    rows = [v for v in judgement.verdicts if all(getattr(v, k) == w for k, w in wanted.items())]
    assert len(rows) == 1
    return rows[0]


def test_a_study_of_three_rules_reads_like_the_paper():
    judged = judge(
        frame(rules={"sp": -0.67, "mup": -0.4, "supar": 0.0}, lrs=[2.0**k for k in range(-11, -1)]),
        base={"lr": 2.0**-7},
    )
    words = {v.rule: v.verdict for v in judged.verdicts}
    assert words == {"sp": "DRIFT", "mup": "DRIFT", "supar": "STABLE"}
    sp = only(judged, rule="sp")
    assert sp.slope == pytest.approx(-0.67, abs=0.06)
    assert sp.regret == pytest.approx(0.03 * (4 * 0.67) ** 2 / 3, rel=0.15)  # worst cell: density 1/16
    assert sp.worst == "width 64, density 1/16"
    assert judged.stable
    assert judged.sentence.startswith("supar is STABLE over density")
    assert "sp is DRIFT over density" in judged.sentence
    assert {f.name for f in fields(judged.verdicts[0])} >= CONTRACT
    assert set(judged.cells.columns) >= CELL_COLUMNS
    assert len(judged.cells) == 9


def test_a_rule_that_fails_on_density_alone_is_not_blamed_on_width():
    judged = judge(frame(rules={"mup": -0.4}, widths=(64, 128, 256)), base={"lr": 2.0**-7})
    assert only(judged, axis="density").verdict == "DRIFT"
    assert only(judged, axis="width").verdict == "STABLE"


def test_a_rule_that_fails_on_width_alone_is_not_blamed_on_density():
    rows = frame(rules={"supar": 0.0}, widths=(64, 128, 256), width_drift=-0.6)
    judged = judge(rows, base={"lr": 2.0**-7})
    assert only(judged, axis="width").verdict == "DRIFT"
    assert only(judged, axis="density").verdict == "STABLE"
    assert not judged.stable


@pytest.mark.parametrize("best", [-12.0, -1.0])
def test_an_edge_minimum_is_inconclusive_and_says_what_to_add(best):
    judged = judge(frame(best=best), base={"lr": 2.0**-7})
    verdict = judged.verdicts[0]
    assert verdict.verdict == "INCONCLUSIVE"
    side = "low" if best < -7 else "high"
    assert f"{side} edge" in verdict.why
    first = judged.cells.iloc[0]
    assert first["suggest_values"] == ([2.0**-13, 2.0**-12] if best < -7 else [2.0**-2, 2.0**-1])
    assert first["suggest"].startswith("add LR 2^")
    assert not judged.stable


def test_an_edge_in_one_cell_keeps_an_otherwise_stable_series_open():
    rows = frame()
    rows = rows[(rows["density"] == 1.0) | (rows["lr"] <= 2.0**-7)]
    judged = judge(rows, base={"lr": 2.0**-7})
    assert judged.verdicts[0].verdict == "INCONCLUSIVE"
    assert list(judged.cells.sort_values("density")["status"]) == ["INCONCLUSIVE", "INCONCLUSIVE", "STABLE"]


def test_near_divergence_the_suggestion_lies_between_the_minimum_and_the_wall():
    judged = judge(frame(edge=1.2), base={"lr": 2.0**-7})
    for _, row in judged.cells.iterrows():
        assert row["status"] == "INCONCLUSIVE"
        assert row["n_diverged"] == 3 * 3
        assert all(2.0**-9 < v < 2.0**-5 for v in row["suggest_values"])


def test_a_transferred_value_at_which_every_seed_diverges_is_drift():
    judged = judge(frame(best=-8.0, edge=2.5), base={"lr": 2.0**-4})
    assert judged.verdicts[0].verdict == "DRIFT"
    assert "diverges" in judged.verdicts[0].why
    json.loads(judged.to_json())  # infinite regret must not break it


def test_a_cost_beyond_what_was_run_is_told_as_the_least_it_can_be():
    found = judge(frame(best=-8.0), base={"lr": 2.0**-1})
    verdict = found.verdicts[0]
    assert verdict.verdict == "DRIFT"
    assert "lies outside the values that were run and costs at least" in verdict.why
    assert found.cells["transferred_loss"].isna().all()


def test_one_seed_says_that_intervals_are_impossible_and_what_to_run():
    judged = judge(frame(seeds=1), base={"lr": 2.0**-7})
    assert judged.verdicts[0].verdict == "INCONCLUSIVE"
    assert "one seed" in judged.verdicts[0].why
    assert judged.cells["suggest"].eq("run 3 seeds").all()
    assert math.isnan(judged.verdicts[0].regret_low)
    assert judged.verdicts[0].slope == pytest.approx(0.0, abs=0.1)
    assert json.loads(judged.to_json())[0]["regret_low"] is None


def test_one_lr_is_inconclusive_and_says_which_to_add():
    judged = judge(frame(lrs=[2.0**-7]), base={"lr": 2.0**-7})
    assert judged.verdicts[0].verdict == "INCONCLUSIVE"
    assert "too few finite LRs" in judged.verdicts[0].why
    assert judged.cells["suggest_values"].iloc[0] == [2.0**-9, 2.0**-8, 2.0**-6, 2.0**-5]


def test_the_loss_at_one_lr_is_known_though_no_minimum_is():
    """A ladder of densities at one transferred LR compares rules by that loss."""
    rows = frame(lrs=[2.0**-7])
    judged = judge(rows, base={"lr": 2.0**-7})
    densest = judged.cells.query("density == 1").iloc[0]
    own = rows[(rows["density"] == 1) & (rows["width"] == densest["width"]) & (rows["rule"] == densest["rule"])]
    assert densest["transferred_loss"] == pytest.approx(own["loss"].mean())
    assert math.isnan(densest["min_loss"])
    elsewhere = judge(rows, base={"lr": 2.0**-6})
    assert elsewhere.cells["transferred_loss"].isna().all()


def test_one_cell_transfers_nothing():
    judged = judge(frame(densities=(1.0,)), base={"lr": 2.0**-7})
    assert judged.verdicts[0].verdict == "INCONCLUSIVE"
    assert "only one cell" in judged.verdicts[0].why


def test_seeds_are_suggested_when_the_interval_holds_the_margin():
    judged = judge(frame(rules={"supar": -0.17}, noise=0.02, seeds=3), base={"lr": 2.0**-7})
    open_cells = judged.cells[judged.cells["status"] == "INCONCLUSIVE"]
    assert len(open_cells)
    assert (open_cells["suggest_seeds"] > 3).all()


def test_without_a_base_the_densest_smallest_cell_gives_the_value():
    judged = judge(frame(rules={"supar": 0.0, "sp": -0.6}, best=-7.4))
    home = judged.cells[judged.cells["is_base"]]
    assert (home["density"] == 1.0).all()
    for _, row in judged.cells.iterrows():
        own = home.loc[home["rule"] == row["rule"], "optimum"].iloc[0]
        assert row["transferred"] == pytest.approx(own)
    assert only(judged, rule="supar").verdict == "STABLE"
    assert only(judged, rule="sp").verdict == "DRIFT"


def test_a_base_cell_without_a_settled_optimum_settles_nothing():
    rows = frame()
    rows = rows[(rows["density"] < 1.0) | (rows["lr"] <= 2.0**-7)]
    judged = judge(rows)
    assert judged.verdicts[0].verdict == "INCONCLUSIVE"


def test_init_std_is_judged_when_it_is_what_was_swept():
    rows = frame(rules={"supar": 0.0, "sp": -0.5}).rename(columns={"lr": "init_std", "init_std": "lr"})
    judged = judge(rows, base={"lr": 0.05, "init_std": 2.0**-7})
    assert judged.swept == "init_std"
    assert set(judged.cells["axis_name"]) == {"init_std"}
    assert only(judged, rule="supar").verdict == "STABLE"
    assert "init std" in only(judged, rule="sp").why


def test_joint_axes_give_the_slope_along_their_path():
    rows = frame(widths=(64, 128, 256), densities=(1.0, 0.5, 0.25))
    rows = rows[rows["width"] * rows["density"] == 64]
    judged = judge(rows, base={"lr": 2.0**-7})
    assert {v.axis for v in judged.verdicts} == {"density", "width"}
    assert {v.path for v in judged.verdicts} == {"joint"}
    assert judged.stable


def test_variants_are_series_of_their_own():
    rows = frame(rules={"supar": 0.0})
    other = frame(np.random.default_rng(1), rules={"supar": -0.6}).assign(variant="rigl")
    judged = judge(pd.concat([rows, other]), base={"lr": 2.0**-7})
    assert only(judged, series="supar").verdict == "STABLE"
    assert only(judged, series="supar · rigl").verdict == "DRIFT"
    assert not judged.stable


def test_an_expected_rule_without_rows_is_named_and_not_stable():
    judged = judge(frame(rules={"mine": 0.0}), base={"lr": 2.0**-7})
    assert judged.verdicts[0].verdict == "STABLE"
    assert not judged.stable
    assert "supar was expected to be stable but has no rows" in judged.sentence
    mine = VerdictSpec(expect_stable=("mine",))
    assert judge(frame(rules={"mine": 0.0}), settings=mine, base={"lr": 2.0**-7}).stable


def test_json_is_the_documented_list_and_the_dictionary_is_plain():
    judged = judge(frame(rules={"supar": 0.0, "sp": -0.6}, edge=4.0), base={"lr": 2.0**-7})
    listed = json.loads(judged.to_json())
    assert [v["rule"] for v in listed] == [v.rule for v in judged.verdicts]
    assert set(listed[0]) >= CONTRACT
    json.dumps(judged.to_dict(), allow_nan=False)


def test_the_table_shows_words_numbers_and_reasons():
    judged = judge(frame(rules={"supar": 0.0, "sp": -0.6}), base={"lr": 2.0**-7})
    console = Console(width=160, file=io.StringIO())
    console.print(verdict_table(judged))
    text = console.file.getvalue()
    assert "STABLE" in text
    assert "DRIFT" in text
    assert "[" in text
    assert "drift, oct/oct" in text


def test_what_is_unknown_is_a_dash_in_the_table():
    rows = frame(rules={"supar": 0.0})
    judged = judge(rows[rows["density"] == rows["density"].max()], base={"lr": 2.0**-7})
    console = Console(width=160, file=io.StringIO())
    console.print(verdict_table(judged))
    line = next(line for line in console.file.getvalue().splitlines() if line.startswith("supar"))
    assert line.split()[-1] == "–"  # one cell has no drift
    assert "nan" not in line
