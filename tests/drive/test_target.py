"""The target that a command line names, and what stands for what it does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.drive.target import target_trial

STUDY = """
name: small
model: {options: {head_size: 8}}
data: {source: synthetic, max_bytes: 20000}
training: {steps: 6, batch_size: 2, sequence_length: 8, precision: fp32, eval_tokens: 64}
base: {width: 16, depth: 1, lr: 0.01}
grid: {rules: [supar], widths: [16, 32], densities: [1, 1/2], lr: [2^-8, 2^-7]}
rules: {mine: {like: sp}}
"""


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """What a command line says that names no more than a study."""
    (tmp_path / "small.yaml").write_text(STUDY)
    unsaid = {"width": None, "depth": None, "density": None}
    return {"study": tmp_path / "small.yaml", "results_dir": str(tmp_path / "results"), "rule": "supar", **unsaid}


def test_what_is_not_said_is_the_grids_largest_and_sparsest(given: dict[str, Any]) -> None:
    trial, source = target_trial(given)
    assert (trial.rule, trial.width, trial.depth, trial.density) == ("supar", 32, 1, 0.5)
    assert trial.base.lr == 0.01
    assert source == "base of the study file, not tuned"


def test_a_rules_own_settings_are_those_of_its_target(given: dict[str, Any], tmp_path: Path) -> None:
    own = "grid: {by_rule: {sp: {base.lr: 2^-12, model.options.base_head_size: null}},"
    (tmp_path / "small.yaml").write_text(STUDY.replace("grid: {", own))
    trial, source = target_trial(given | {"rule": "sp"})
    assert (trial.base.lr, trial.model.options) == (2.0**-12, {"head_size": 8, "base_head_size": None})
    assert source == "base of the study file, not tuned, and sp's own in grid.by_rule"
    assert target_trial(given)[0].base.lr == 0.01


def test_what_is_said_holds(given: dict[str, Any]) -> None:
    trial, _ = target_trial({**given, "rule": "sp", "width": 64, "depth": 3, "density": "1/16"})
    assert (trial.rule, trial.width, trial.depth, trial.density) == ("sp", 64, 3, 0.0625)


def test_base_hps_are_those_of_the_results_folder_once_it_has_some(given: dict[str, Any]) -> None:
    folder = Path(given["results_dir"], "small")
    folder.mkdir(parents=True)
    (folder / "base.json").write_text(json.dumps({"lr": 0.25, "init_std": 0.1, "trials": 12}))
    trial, source = target_trial(given)
    assert trial.base.lr == 0.25
    assert source == "base.json of the results folder"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"rule": "supr"}, "--rule: unknown rule; found 'supr'"),
        ({"density": "0"}, "--density: a density is a share of weights; found '0'"),
        ({"density": "many"}, "--density: a density is a share of weights; found 'many'"),
    ],
)
def test_what_is_no_target_is_refused(given: dict[str, Any], target: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        target_trial({**given, **target})
