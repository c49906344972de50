"""A target on the command line becomes the trial that stands for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.common.errors import InputError
from hptransfer.drive.load_study import load_study
from hptransfer.drive.request import Request
from hptransfer.drive.target import target_trial

SMOKE = Path(__file__).parents[2] / "sweeps" / "smoke.yaml"


@pytest.fixture
def request_for_smoke(tmp_path: Path) -> Request:
    return Request(study=load_study(SMOKE), results=str(tmp_path / "smoke"))


def test_what_is_not_said_is_the_grids_largest_and_sparsest(request_for_smoke: Request) -> None:
    trial, source = target_trial(request_for_smoke, "supar", None, None, None)
    assert (trial.rule, trial.width, trial.depth, trial.density) == ("supar", 64, 1, 0.25)
    assert "not tuned" in source


def test_what_is_said_holds(request_for_smoke: Request) -> None:
    trial, _ = target_trial(request_for_smoke, "mup", 512, 4, "1/16")
    assert (trial.rule, trial.width, trial.depth, trial.density) == ("mup", 512, 4, 0.0625)


@pytest.mark.parametrize("density", ["2", "none", "0"])
def test_a_density_that_is_none_is_refused(request_for_smoke: Request, density: str) -> None:
    with pytest.raises(InputError, match="--density: a density is a share of weights"):
        target_trial(request_for_smoke, "supar", None, None, density)


def test_an_unknown_rule_is_refused_with_the_nearest(request_for_smoke: Request) -> None:
    with pytest.raises(InputError, match=r"--rule.*'super'.*supar"):
        target_trial(request_for_smoke, "super", None, None, None)
