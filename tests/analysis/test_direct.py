"""Own against transferred, paired by seeds, on rows whose losses are known."""

from __future__ import annotations

from math import inf, isnan, log2, nan
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hptransfer.analysis.direct import compare_directly, paired
from hptransfer.study.direct import DirectCell

SEEDS = range(5)
LINE = [2.0 ** (-7 + k / 2) for k in range(-3, 4)]


def rows(
    rule: str, best: float, floor: float, *, at: float = 2.0**-7, **place: Any
) -> tuple[list[dict[str, Any]], DirectCell]:
    """A line with its minimum `floor` at 2^best, and the transferred LR `at`; every seed has an offset of its own."""
    made: list[dict[str, Any]] = []
    for lr in dict.fromkeys([*LINE, at]):
        for seed in SEEDS:
            wobble = 0.002 * np.sin(3 * seed + 5 * log2(lr)) + 0.05 * seed
            loss = floor + 0.1 * (log2(lr) - best) ** 2 + wobble
            made.append({"trial_id": f"{rule}-{lr}-{seed}", "rule": rule, "lr": lr, "seed": seed, "loss": loss})
    line = tuple(row["trial_id"] for row in made if row["lr"] in LINE)
    there = tuple(row["trial_id"] for row in made if row["lr"] == at)
    where = {"rule": rule, "width": 64, "density": 0.25, "depth": 2} | place
    cell = DirectCell(**where, hps={"lr": 2.0**best}, trials=9, line=line, transferred=there)
    return [row | {"status": "ok"} for row in made], cell


def other(cell: DirectCell, **changes: Any) -> DirectCell:
    return cell.model_copy(update=changes)


def test_what_transferring_gave_up_is_the_loss_there_over_the_own_minimum() -> None:
    made, cell = rows("supar", -7.0, 2.0, at=2.0**-6)
    (found,) = compare_directly(pd.DataFrame(made), [cell])
    assert log2(found.lr) == pytest.approx(-7, abs=0.05)
    assert found.loss == pytest.approx(2.1, abs=0.01)  # 2, and the mean of the seeds' offsets
    assert found.given_up.value == pytest.approx(0.1 / 2.1, abs=0.003)
    assert found.given_up.low < 0.1 / 2.1 < found.given_up.high
    assert found.given_up.high - found.given_up.low < 0.01  # the seeds' offsets, 0.05 each, cancel
    assert found.doubts == ()


def test_two_series_are_compared_seed_by_seed_in_the_same_cell() -> None:
    made, sp = rows("sp", -7.5, 2.02)
    more, supar = rows("supar", -7.0, 2.0)
    found = {v.key.series: v for v in compare_directly(pd.DataFrame(made + more), [sp, supar], references=["supar"])}
    assert found["sp"].against.value == pytest.approx(0.02 / 2.1, abs=0.002)
    assert 0 < found["sp"].against.low < found["sp"].against.high < 0.02
    assert isnan(found["supar"].against.value)
    elsewhere = other(supar, density=0.5)
    (lonely, _) = compare_directly(pd.DataFrame(made + more), [sp, elsewhere], references=["supar"])
    assert isnan(lonely.against.value)


def test_without_a_minimum_inside_the_line_the_lowest_value_stands_for_it_and_that_is_said() -> None:
    made, cell = rows("supar", -12.0, 2.0)
    (found,) = compare_directly(pd.DataFrame(made), [cell])
    assert log2(found.lr) == pytest.approx(-8.5)
    assert "no minimum inside its line of LRs (edge)" in found.doubts[0]


def test_a_diverged_transfer_gives_up_without_bound_and_a_missing_run_is_no_run() -> None:
    made, cell = rows("supar", -7.0, 2.0, at=2.0**-3)
    for row in made:
        if row["trial_id"] == cell.transferred[0]:
            row.update(status="diverged", loss=nan)
    (found,) = compare_directly(pd.DataFrame(made), [cell])
    assert found.given_up.value == inf
    fewer = [row for row in made if row["trial_id"] != cell.line[0]]
    (found,) = compare_directly(pd.DataFrame(fewer), [other(cell, transferred=cell.transferred[1:])])
    assert np.isfinite(found.given_up.value)
    assert compare_directly(pd.DataFrame(made), [other(cell, line=("gone",))]) == []


def test_the_interval_covers_at_the_seeds_people_run() -> None:
    dice, hits = np.random.default_rng(0), 0
    for _ in range(400):
        offsets = dice.normal(0, 0.05, 5)
        mine = {s: 2.02 + offsets[s] + dice.normal(0, 0.01) for s in SEEDS}
        other = {s: 2.00 + offsets[s] + dice.normal(0, 0.01) for s in SEEDS}
        found = paired(mine, other)
        hits += found.low <= 0.01 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_one_seed_has_no_interval_and_none_no_value() -> None:
    assert isnan(paired({0: 2.0}, {0: 1.0}).low)
    assert paired({0: 2.0}, {0: 1.0}).value == 1.0
    assert isnan(paired({0: 2.0}, {1: 1.0}).value)


def test_a_reference_may_be_a_rule_and_then_holds_in_each_variant() -> None:
    made, cells = [], []
    for variant, floor in (("a", 2.0), ("b", 2.2)):
        for rule, extra in (("sp", 0.02), ("supar", 0.0)):
            more, cell = rows(rule, -7.0, floor + extra, variant=variant)
            ids = {row["trial_id"]: f"{variant}-{row['trial_id']}" for row in more}
            made += [row | {"trial_id": ids[row["trial_id"]]} for row in more]
            cells.append(other(cell, line=tuple(ids[i] for i in cell.line), transferred=()))
    found = compare_directly(pd.DataFrame(made), cells, references=["mup", "supar"])
    assert [round(v.against.value, 3) for v in found if v.key.rule == "sp"] == [0.01, 0.009]
    assert [v.is_reference for v in found] == [False, True, False, True]


def test_a_search_that_found_nothing_has_a_row_that_says_why() -> None:
    made, cell = rows("supar", -7.0, 2.0)
    failed = DirectCell(rule="sp", width=64, density=0.25, depth=2, failed="all 8 proxy trials diverged")
    (sp, supar) = compare_directly(pd.DataFrame(made), [failed, cell], references=["supar"])
    assert (isnan(sp.loss), sp.doubts) == (True, ("all 8 proxy trials diverged",))
    assert np.isfinite(supar.loss)


def test_cells_are_told_apart_by_whatever_differs() -> None:
    made, cell = rows("supar", -7.0, 2.0)
    found = compare_directly(pd.DataFrame(made), [cell, other(cell, depth=4)])
    assert [v.where for v in found] == ["width 64, density 1/4, depth 2", "width 64, density 1/4, depth 4"]


def test_diverged_runs_decide_a_comparison() -> None:
    fine, lost = {0: 2.0, 1: 2.0}, {0: 2.0, 1: inf}
    assert (paired(lost, fine).value, paired(fine, lost).value) == (inf, -inf)
    assert isnan(paired(lost, lost).value)
