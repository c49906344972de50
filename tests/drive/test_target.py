"""The target that a command line names, and what stands for what it does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.drive.request import Request
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
def asked(tmp_path: Path) -> Request:
    (tmp_path / "small.yaml").write_text(STUDY)
    return Request.from_command_line({"study": tmp_path / "small.yaml", "results_dir": str(tmp_path / "results")})


def test_what_is_not_said_is_the_grids_largest_and_sparsest(asked: Request) -> None:
    trial, source = target_trial(asked, "supar", None, None, None)
    assert (trial.rule, trial.width, trial.depth, trial.density) == ("supar", 32, 1, 0.5)
    assert trial.base.lr == 0.01
    assert source == "base of the study file, not tuned"


def test_what_is_said_holds(asked: Request) -> None:
    trial, _ = target_trial(asked, "sp", 64, 3, "1/16")
    assert (trial.rule, trial.width, trial.depth, trial.density) == ("sp", 64, 3, 0.0625)


def test_base_hps_are_those_of_the_results_folder_once_it_has_some(asked: Request) -> None:
    folder = Path(asked.results)
    folder.mkdir(parents=True)
    (folder / "base.json").write_text(json.dumps({"lr": 0.25, "init_std": 0.1, "trials": 12}))
    trial, source = target_trial(asked, "supar", None, None, None)
    assert trial.base.lr == 0.25
    assert source == "base.json of the results folder"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (("supr", None, None, None), "--rule: unknown rule; found 'supr'"),
        (("supar", None, None, "0"), "--density: a density is a share of weights; found '0'"),
        (("supar", None, None, "many"), "--density: a density is a share of weights; found 'many'"),
    ],
)
def test_what_is_no_target_is_refused(asked: Request, target: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        target_trial(asked, *target)
