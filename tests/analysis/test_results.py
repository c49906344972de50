"""A results folder as one object, ours or not, whole or damaged."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from hptransfer.analysis.results import load_results, results_of
from hptransfer.common.errors import InputError
from hptransfer.store.folders import LocalFolder


def frame(**changes) -> pd.DataFrame:
    """Rows of one rule with its minimum at 2^−7: 25 octaves-squared in loss, two seeds."""
    rows = [
        {"trial_id": f"{w}-{o}-{s}", "study": "demo", "phase": "grid", "rule": "supar", "width": w, "density": 1.0,
         "lr": 2.0**o, "seed": s, "loss": 2.5 + 0.04 * (o + 7) ** 2 + 0.001 * s * (-1) ** o, "status": "ok"}
        for w in (64, 128) for o in range(-10, -3) for s in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


@pytest.fixture
def folder(tmp_path):
    """A folder as a run leaves it: trials in two parts that overlap, base, study, curves."""
    (tmp_path / "trials").mkdir()
    (tmp_path / "curves").mkdir()
    whole = frame()
    whole[:20].to_parquet(tmp_path / "trials" / "a.parquet")
    whole[15:].to_parquet(tmp_path / "trials" / "b.parquet")
    pd.DataFrame({"trial_id": ["x"], "step": [1], "train_loss": [3.0]}).to_parquet(tmp_path / "curves" / "c.parquet")
    (tmp_path / "base.json").write_text(json.dumps({"lr": 2.0**-7}))
    (tmp_path / "study.yaml").write_text("name: demo\nverdict: {delta: 0.01}\n")
    return tmp_path


def test_a_whole_folder(folder):
    results = load_results(str(folder))
    assert results.name == "demo"
    assert len(results.frame) == 28  # the five rows that lie in both parts count once
    assert results.base == {"lr": 2.0**-7}
    assert results.judgement is not None
    assert results.judgement.verdicts[0].delta == 0.01  # the study's own settings judge it
    assert results.judgement.cells["optimum_log2"].tolist() == pytest.approx([-7, -7], abs=0.05)
    assert len(results.curves) == 1
    assert results.problems == ()
    assert not results.running


def test_a_folder_of_bare_parquet_files_is_enough(tmp_path):
    frame().drop(columns=["trial_id", "study", "phase", "status"]).to_parquet(tmp_path / "theirs.parquet")
    results = load_results(str(tmp_path))
    assert results.name == tmp_path.name
    assert results.study is None
    assert results.judgement is not None


def test_a_uri_reads_like_a_path(folder):
    assert len(load_results(folder.as_uri()).frame) == 28


def test_damage_is_named_and_the_rest_is_used(folder):
    (folder / "trials" / "broken.parquet").write_bytes(b"PAR1 not really")
    (folder / "base.json").write_text("{")
    results = load_results(str(folder))
    assert len(results.frame) == 28
    assert results.base is None
    assert [p.split(" ")[0] for p in results.problems] == ["broken.parquet", "base.json"]


def test_a_folder_without_rows_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"no trial rows here.*hptransfer run"):
        load_results(str(tmp_path))
    with pytest.raises(InputError, match="no such results folder"):
        load_results(str(tmp_path / "absent"))
    with pytest.raises(InputError, match="names no folder"):
        load_results("s3://")


def test_what_cannot_be_judged_says_why(tmp_path):
    (tmp_path / "trials").mkdir()
    frame(phase="tune").to_parquet(tmp_path / "trials" / "a.parquet")
    results = load_results(str(tmp_path))
    assert results.judgement is None
    assert "no rows of phase 'grid'" in results.no_judgement


@pytest.mark.parametrize(
    ("in_flight", "age", "running"), [(3, 0, True), (0, 0, False), (3, 3600, False)], ids=["now", "drained", "dead"]
)
def test_only_fresh_news_of_work_in_flight_is_running(folder, in_flight, age, running):
    updated = datetime.now(UTC) - timedelta(seconds=age)
    news = {"planned": 40, "stored": 28, "in_flight": in_flight, "updated": updated.isoformat()}
    (folder / "running.json").write_text(json.dumps(news))
    assert load_results(str(folder)).running is running


def budget(steps: int) -> pd.DataFrame:
    """The rows of a study that trains so long."""
    return frame(steps=steps).assign(trial_id=lambda rows: rows["trial_id"] + f"-{steps}")


def test_rows_of_another_budget_are_set_aside_by_what_the_study_says(tmp_path):
    """After a change of training.steps the verdict is that of the new budget, though most rows are old."""
    old, new = budget(steps=100), budget(steps=200).query("lr > 0.004")
    both = pd.concat([old, new], ignore_index=True)
    study = {"training": {"steps": 200}, "grid": {}}
    found = results_of(both, study=study)
    assert set(found.frame["phase"]) == {"grid", "other budget"}
    assert set(found.judgement.cells["n_points"]) == {new["lr"].nunique()}
    assert set(results_of(both, study={"training": {"steps": 300}}).frame["phase"]) == {"grid"}


def test_each_series_is_judged_on_its_own_budget():
    """A study may compare a short and a long variant: neither drops out."""
    short, long = budget(steps=100).assign(variant="short"), budget(steps=400).assign(variant="long")
    judged = results_of(pd.concat([short, long.query("seed < 2")], ignore_index=True)).judgement
    assert {v.variant for v in judged.verdicts} == {"short", "long"}


def test_parts_that_a_merging_driver_takes_away_are_listed_anew(tmp_path, monkeypatch):
    part = tmp_path / "trials" / "b.parquet"
    part.parent.mkdir()
    budget(steps=10).to_parquet(part)
    listed = iter([["trials/a.parquet"], ["trials/b.parquet"]])
    names = LocalFolder.names
    monkeypatch.setattr(
        LocalFolder, "names", lambda self, kind: next(listed) if kind == "trials" else names(self, kind)
    )
    found = load_results(str(tmp_path))
    assert len(found.frame) == len(budget(steps=10))
    assert not found.problems
