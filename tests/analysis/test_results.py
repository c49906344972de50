"""A stored study and the verdict on it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hptransfer.analysis.cells import DESCRIBED_BY
from hptransfer.analysis.results import load_results, results_of
from hptransfer.study.base import TunedBase


def frame(**changes: object) -> pd.DataFrame:
    """Rows of one rule with its minimum at 2^−7: 25 octaves-squared in loss, two seeds."""
    rows = [
        {"trial_id": f"{w}-{o}-{s}", "study": "demo", "phase": "grid", "rule": "supar", "width": w, "density": 1.0,
         "lr": 2.0**o, "seed": s, "loss": 2.5 + 0.04 * (o + 7) ** 2 + 0.001 * s * (-1) ** o, "status": "ok"}
        for w in (64, 128) for o in range(-10, -3) for s in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


def test_a_folder_is_judged_by_its_own_settings(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "theirs.parquet")
    (tmp_path / "study.yaml").write_text("name: demo\nverdict: {delta: 0.01}\n")
    results = load_results(str(tmp_path))
    assert results.name == "demo"
    assert results.judgement is not None
    assert results.settings.delta == 0.01
    assert results.judgement.verdicts[0].delta == 0.01
    assert results.judgement.cells["optimum_log2"].tolist() == pytest.approx([-7, -7], abs=0.05)


def test_a_folder_of_bare_parquet_files_is_enough(tmp_path: Path) -> None:
    frame().drop(columns=["trial_id", "study", "phase", "status"]).to_parquet(tmp_path / "theirs.parquet")
    results = load_results(str(tmp_path))
    assert results.name == tmp_path.name
    assert results.study is None
    assert results.judgement is not None
    assert "nothing about them is verified" in results.problems[0]


def test_the_tuned_value_transfers_and_that_of_an_untuned_base_does_not() -> None:
    content = {"lr": 2.0**-5, "init_std": 0.05}
    transferred = {}
    for trials in (32, 0):
        base = TunedBase.read(content | {"trials": trials}, "base.json")
        judgement = results_of(frame(), base=base).judgement
        assert judgement is not None
        transferred[trials] = judgement.cells["transferred"].tolist()
    assert transferred[32] == [2.0**-5] * 2
    assert transferred[0] == pytest.approx([2.0**-7] * 2, rel=0.05)


STUDY = {"grid": {"rules": ["sp", "supar"], "by_rule": {"sp": {"base.lr": "2^-9", "training.clip": 0}}}}


def test_a_rule_of_a_base_lr_of_its_own_is_judged_at_that(tmp_path: Path) -> None:
    """Both have their minimum at 2^−7: what supar transfers costs nothing, sp's own 2^−9 costs 0.04 · 2² of 2.5."""
    rows = pd.concat([frame(), frame(rule="sp", trial_id=[f"sp-{i}" for i in range(28)])])
    base = TunedBase.read({"lr": 2.0**-7, "init_std": 0.05}, "base.json")
    results = results_of(rows, study=STUDY, base=base)
    assert results.own_base == {"sp": {"lr": 2.0**-9}}
    assert results.judgement is not None
    cells = results.judgement.cells.set_index("series")
    assert cells.loc["sp", "transferred"].tolist() == [2.0**-9] * 2
    assert cells.loc["sp", "regret"].tolist() == pytest.approx([0.16 / 2.5] * 2, rel=0.05)
    assert cells.loc["supar", "transferred"].tolist() == [2.0**-7] * 2


def test_a_variant_of_a_base_lr_of_its_own_is_judged_at_that_too() -> None:
    study = {"grid": {"rules": ["supar"], "variants": {"hot": {"base.lr": 0.5}, "cold": {}}}}
    base = TunedBase.read({"lr": 2.0**-7, "init_std": 0.05}, "base.json")
    judgement = results_of(frame(variant="hot"), study=study, base=base).judgement
    assert judgement is not None
    assert judgement.cells["transferred"].tolist() == [0.5] * 2


def test_own_values_that_nobody_can_read_are_none() -> None:
    study = {"grid": {"by_rule": {"sp": {"base.lr": "high"}}}}
    assert results_of(frame(), study=study).own_base == {}


def test_a_rules_own_budget_is_its_budget(tmp_path: Path) -> None:
    study = {"training": {"steps": 100}, "grid": {"by_rule": {"sp": {"training.steps": 50}}}}
    rows = frame(rule="sp", steps=50)
    kept = results_of(pd.concat([rows, frame(rule="sp", steps=100)]), study=study)
    assert (kept.frame["phase"] == "grid").tolist() == [True] * 28 + [False] * 28


def test_what_cannot_be_judged_says_why() -> None:
    results = results_of(frame(phase="tune"))
    assert results.judgement is None
    assert "no rows of phase 'grid'" in results.no_judgement
    assert results_of(pd.DataFrame()).no_judgement == "no trial has finished yet"


def test_results_in_memory_are_named_after_their_study() -> None:
    assert results_of(frame()).name == "demo"
    assert results_of(frame().drop(columns="study")).name == "results"
    assert results_of(frame(), name="other").name == "other"


def budget(steps: int) -> pd.DataFrame:
    """The rows of a study that trains so long."""
    return frame(steps=steps).assign(trial_id=lambda rows: rows["trial_id"] + f"-{steps}")


def test_rows_of_another_budget_are_set_aside_by_what_the_study_says() -> None:
    """After a change of training.steps the verdict is that of the new budget, though most rows are old."""
    old, new = budget(steps=100), budget(steps=200).query("lr > 0.004")
    both = pd.concat([old, new], ignore_index=True)
    study = {"training": {"steps": 200}, "grid": {}}
    found = results_of(both, study=study)
    assert set(found.frame["phase"]) == {"grid", "other budget"}
    assert found.judgement is not None
    assert set(found.judgement.cells["n_points"]) == {new["lr"].nunique()}
    assert set(results_of(both, study={"training": {"steps": 300}}).frame["phase"]) == {"grid"}


def test_each_series_is_judged_on_its_own_budget() -> None:
    """A study may compare a short and a long variant: neither drops out."""
    short, long = budget(steps=100).assign(variant="short"), budget(steps=400).assign(variant="long")
    judged = results_of(pd.concat([short, long.query("seed < 2")], ignore_index=True)).judgement
    assert judged is not None
    assert set(judged.cells["variant"]) == {"short", "long"}


def version(told: str, day: int, **changes: object) -> pd.DataFrame:
    """The rows of a study whose optimizer was that version then."""
    rows = frame(variant="", entries=json.dumps({"lab:Lion": told}), finished_at=pd.Timestamp(2026, 1, day), **changes)
    return rows.assign(trial_id=rows["trial_id"] + told)


def test_rows_of_an_earlier_version_of_an_entry_are_set_apart_and_told() -> None:
    """Their ids differ, so they would count as further runs of the same cells."""
    old, new = version("version 1", 1), version("version 2", 2).query("lr > 0.004")
    found = results_of(pd.concat([old, new], ignore_index=True))
    assert found.frame["phase"].value_counts().to_dict() == {"other version": len(old), "grid": len(new)}
    assert found.problems == (
        f"{len(old)} rows of an earlier version of an entry of your own were left out of the verdict",
    )
    assert found.judgement is not None
    assert set(found.judgement.cells["n_points"]) == {new["lr"].nunique()}


@pytest.mark.parametrize("told", ["source 1", "source 2"])
def test_rows_of_another_source_stay_for_the_run_has_asked_about_them(told: str) -> None:
    both = pd.concat([version(told, 1), version("source 2", 2, seed=5)], ignore_index=True)
    assert set(results_of(both).frame["phase"]) == {"grid"}


def test_a_row_from_before_entries_were_named_is_of_no_other_version() -> None:
    old = version("version 2", 1).assign(entries="{}")
    found = results_of(pd.concat([old, version("version 2", 2, seed=5)], ignore_index=True))
    assert (set(found.frame["phase"]), found.problems) == ({"grid"}, ())


def test_each_series_has_a_newest_version_of_its_own() -> None:
    both = pd.concat([version("version 1", 1), version("version 2", 2, rule="sp")], ignore_index=True)
    assert set(results_of(both).frame["phase"]) == {"grid"}


def test_a_hole_in_the_grid_is_not_filled_with_rows_of_an_earlier_version() -> None:
    settings = {name: "same" for name in DESCRIBED_BY if name not in ("rule", "variant", "width", "density")}
    fits = settings | {"init_std": 0.05, "depth": 2, "steps": 100}
    old, new = version("version 1", 1, **fits), version("version 2", 2, **fits).query("seed == 0 or lr > 0.004")
    found = results_of(pd.concat([old, new], ignore_index=True))
    assert found.judgement is not None
    assert sum("another phase" in note for note in found.judgement.notes) == 0


@pytest.mark.parametrize("entries", [None, "", "none", "[]"])
def test_a_foreign_row_whose_entries_cannot_be_read_names_none(entries: str | None) -> None:
    foreign = version("version 1", 1).assign(entries=entries)
    found = results_of(pd.concat([foreign, version("version 2", 2, seed=5)], ignore_index=True))
    assert (set(found.frame["phase"]), found.problems) == ({"grid"}, ())
