"""Which cells a study's coordinate check looks at, when there is nothing to check, and that it runs once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hptransfer.common.seams import source_digest
from hptransfer.drive.check import (
    CheckReport,
    check_before_tune,
    check_digest,
    coordinate_check_of,
    print_check,
    scope_of,
)
from hptransfer.drive.load_study import validate_study
from hptransfer.scaling.rules import get_rule
from hptransfer.store.file_names import CHECK_FRAME_FILE
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.trials.settled import Settled


def study(**changes: Any) -> Study:
    tree = {
        "name": "s",
        "model": {"options": {"head_size": 16}},
        "data": {"source": "synthetic", "max_bytes": 20_000},
        "training": {"sequence_length": 16},
        "base": {"width": 16, "depth": 1},
        "grid": {"rules": ["sp", "supar"], "widths": [16, 32]},
        "check": {"steps": 2, "seeds": 2, "max_seeds": 4},
    }
    return validate_study(tree | changes)


def settled(found: Study) -> Settled:
    return Settled(found, found.base.hps, "fp32", open_corpus(found.data).fingerprint)


def test_the_grid_is_looked_at_where_the_theory_speaks_of_it() -> None:
    grid = {"rules": ["sp", "supar"], "widths": [2048, 32, 64], "densities": [1, 1 / 4, 1 / 16]}
    scope = scope_of(settled(study(grid=grid)))
    assert (scope.widths, scope.densities, scope.rules) == ((32, 64), (1.0, 0.25), (get_rule("supar"),))
    assert scope.axes == ("density", "width")


def test_what_the_study_names_comes_first() -> None:
    named = {"widths": [48, 16], "densities": [0.5], "rules": ["sp"]}
    scope = scope_of(settled(study(check=named)))
    assert (scope.widths, scope.densities, scope.axes) == ((16, 48), (0.5,), ("width",))
    assert scope.rules == (get_rule("sp"),)


def test_cells_that_no_axis_judges_are_not_measured() -> None:
    grid = {"rules": ["supar"], "widths": [64, 128, 256], "densities": [1, 1 / 4, 1 / 16]}
    scope = scope_of(settled(study(grid=grid)))
    assert scope.cells == {64: (1, 1 / 4), 128: (1, 1 / 4, 1 / 16), 256: (1, 1 / 4, 1 / 16)}  # 64 · 1/16 is 4 weights
    named = scope_of(settled(study(check={"widths": [16], "densities": [1 / 4, 1 / 8]})))
    assert named.cells == {16: (1 / 4, 1 / 8)}  # two places are judged in any case


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": {"rules": ["supar"], "widths": [16]}}, "nothing to compare"),
        ({"verdict": {"expect_stable": []}}, "no rule is expected to be stable"),
        ({"trainer": "json:dumps"}, "the trainer json:dumps trains in a way of its own"),
    ],
)
def test_nothing_to_check_passes_and_says_why(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    report = coordinate_check_of(settled(study(**changes)), Store.open(str(tmp_path), "s"))
    assert report.passed
    assert words in report.sentences[0]
    assert not (tmp_path / "check.json").exists()


def test_it_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, found = Store.open(str(tmp_path), "s"), settled(study())
    report = coordinate_check_of(found, store)
    assert {slope["rule"] for slope in report.slopes} == {"supar"}
    assert {slope["axis"] for slope in report.slopes} == {"width"}
    monkeypatch.setattr("hptransfer.drive.check.coordinate_check", lambda *a, **k: pytest.fail("checked again"))
    assert coordinate_check_of(found, store) == report


@pytest.mark.parametrize("file", ["checked_model.py", "checked_layers.py"])
@pytest.mark.parametrize("version", ["", "build.version = 1"])
def test_after_an_edit_of_the_model_or_of_what_it_uses_it_runs_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, version: str
) -> None:
    """A model that was just mended must not be told what it was before."""
    (tmp_path / "checked_layers.py").write_text("from hptransfer.tasks.models.mlp import MLP\n")
    build = ["def build(width):", "    return MLP(width, vocab_size=16)"]
    source = ["from checked_layers import MLP", *build, version, ""]
    (tmp_path / "checked_model.py").write_text("\n".join(source))
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest() -> str:
        for name in ("checked_model", "checked_layers"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        source_digest.cache_clear()
        found = settled(study(model={"factory": "checked_model:build"}))
        return check_digest(found, scope_of(found))

    before = digest()
    assert digest() == before
    with (tmp_path / file).open("a") as edited:
        edited.write("# an edit\n")
    assert digest() != before


def test_a_rule_is_checked_at_its_own_settings(tmp_path: Path) -> None:
    """Beside another rule, at its own LR, it comes to what a study of that LR finds."""

    def sizes(place: str, **changes: Any) -> pd.DataFrame:
        store = Store.open(str(tmp_path / place), "s")
        coordinate_check_of(settled(study(**changes, check={"steps": 1, "seeds": 1, "rules": ["sp", "supar"]})), store)
        return store.read_frame(CHECK_FRAME_FILE).set_index("rule")

    grid = {"rules": ["sp", "supar"], "widths": [16, 32]}
    plain, hot = sizes("plain"), sizes("hot", base={"width": 16, "depth": 1, "lr": 0.25})
    own = sizes("own", grid=grid | {"by_rule": {"sp": {"base.lr": 0.25}}})
    assert own.loc["sp"].equals(hot.loc["sp"])
    assert own.loc["supar"].equals(plain.loc["supar"])
    assert list(dict.fromkeys(own.index)) == ["sp", "supar"]
    assert not own.loc["sp"].equals(plain.loc["sp"])


def test_it_takes_as_many_seeds_as_it_needs_and_says_so(tmp_path: Path) -> None:
    """Two seeds of a model of sixteen features leave every slope open; at the cap of four that is no pass."""
    store = Store.open(str(tmp_path), "s")
    report = coordinate_check_of(settled(study()), store)
    assert (report.outcome, report.passed) == ("INCONCLUSIVE", False)
    assert "after 4 seeds" in report.sentences[0]
    assert store.read_frame("check.parquet")["seed"].nunique() == 4
    stored = store.read_json("check.json")
    assert (stored["outcome"], stored["passed"], stored["caught"]) == ("INCONCLUSIVE", False, [])


def test_a_pass_says_what_it_would_have_caught(tmp_path: Path) -> None:
    loose = {"first_tolerance": 2, "update_tolerance": 2, "last_tolerance": 3, "steps": 1, "seeds": 4}
    wide = {"rules": ["supar"], "widths": [32, 64, 128]}
    report = coordinate_check_of(settled(study(check=loose, grid=wide)), Store.open(str(tmp_path), "s"))
    assert report.passed, report.sentences
    (caught,) = report.caught
    assert (caught["axis"], caught["rule"]) == ("width", "supar")
    assert 1 < caught["lr"] < 2.5
    assert f"an LR exponent off by {caught['lr']:.2f} and an init exponent off by" in report.sentences[0]


def test_an_answer_of_another_way_to_decide_is_not_handed_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, found = Store.open(str(tmp_path), "s"), settled(study())
    with monkeypatch.context() as before:
        before.setattr("hptransfer.drive.check.DECIDES_BY", "not significantly beyond")
        old = check_digest(found, scope_of(found))
    store.write_json("check.json", {"passed": True, "sentences": ["supar passes"], "slopes": [], "digest": old})
    assert coordinate_check_of(found, store).sentences != ("supar passes",)


def test_what_decides_a_check_decides_its_digest() -> None:
    def digest(found: Settled) -> str:
        return check_digest(found, scope_of(found))

    plain = digest(settled(study()))
    assert digest(settled(study(question="why?"))) == plain
    assert digest(settled(study(task="language", sparsity={"method": "static"}))) == plain
    own = study(grid={"rules": ["sp", "supar"], "widths": [16, 32], "by_rule": {"supar": {"training.clip": 0}}})
    others = [settled(study()).with_hps({"lr": 0.5}), settled(study(sparsity={"kind": "row"})), settled(own)]
    others += [settled(study(check={"steps": 2, "seeds": 2, "max_seeds": 8}))]
    assert plain not in {digest(other) for other in others}
    orders = [{"*.up.*": "built", "*": "zeros"}, {"*": "zeros", "*.up.*": "built"}]
    assert len({digest(settled(study(model={"init": order}))) for order in orders}) == 2


def test_before_the_tune_the_first_step_alone_decides_and_nothing_open_refuses(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), "s")
    report = check_before_tune(settled(study()), store)
    assert report is not None
    assert report.outcome == "INCONCLUSIVE"
    assert {slope["step"] for slope in report.slopes} == {0}
    assert {slope["seeds"] for slope in report.slopes} == {2}  # of at most 4: none are added
    assert store.read_json("check.json") is None  # the check itself is still to come


def test_before_the_tune_it_looks_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, found = Store.open(str(tmp_path), "s"), settled(study())
    report = check_before_tune(found, store)
    monkeypatch.setattr("hptransfer.drive.check.coordinate_check", lambda *a, **k: pytest.fail("checked again"))
    assert check_before_tune(found, store) == report


def test_a_check_that_passed_at_these_base_hps_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, found = Store.open(str(tmp_path), "s"), settled(study())
    passed = CheckReport("PASS", ("supar passes",), digest=check_digest(found, scope_of(found)))
    store.write_json("check.json", passed.document())
    monkeypatch.setattr("hptransfer.drive.check.coordinate_check", lambda *a, **k: pytest.fail("checked again"))
    assert check_before_tune(found, store) == passed


def test_where_there_is_nothing_to_check_nothing_is_looked_at_before_the_tune(tmp_path: Path) -> None:
    assert check_before_tune(settled(study(verdict={"expect_stable": []})), Store.open(str(tmp_path), "s")) is None


def test_no_name_is_cut_however_narrow_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    module = "m.model.layers.*.self_attn.some_projection_of_a_long_name.of_a_long_name"
    row = {"axis": "width", "rule": "supar", "module": module, "kind": "input_gradient", "step": 0, "passed": False}
    row |= {"slope": -0.1504, "slope_low": -0.2, "slope_high": None, "outcome": "FAIL"}
    narrow, wide = {"allowed_low": -0.15, "allowed_high": 0.15}, {"allowed_low": -0.65, "allowed_high": 0.15}
    print_check(CheckReport("FAIL", (), ({**row, **narrow}, {**row, "module": "short", **wide})))
    _, first, second, _ = capsys.readouterr().err.splitlines()
    assert " ".join(first.split()) == f"width supar {module} input_gradient 0 -0.1504 -0.20 … not finite 0.15 FAIL"
    assert " ".join(second.split()) == "width supar short input_gradient 0 -0.15 -0.20 … not finite -0.65 to +0.15 FAIL"


@pytest.mark.parametrize(
    ("outcome", "failing", "words"),
    [
        ("INCONCLUSIVE", [], "check.max_seeds"),
        ("FAIL", [0, 10], "mend-a-model"),
        ("FAIL", [10], "check.lr"),
    ],
)
def test_what_did_not_pass_says_what_to_do(
    capsys: pytest.CaptureFixture[str], outcome: Any, failing: list[int], words: str
) -> None:
    row = {"axis": "width", "rule": "supar", "module": "m", "kind": "activation", "passed": False}
    row |= {"slope": 1.0, "slope_low": 0.9, "slope_high": 1.1, "allowed_low": -0.1, "allowed_high": 0.1}
    print_check(CheckReport(outcome, (), tuple(row | {"step": step, "outcome": "FAIL"} for step in failing)))
    assert words in capsys.readouterr().err.splitlines()[-1]
