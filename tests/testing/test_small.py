"""The suites' own trials: they train, and misbehave where they are told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.study.base import BaseHPs
from hptransfer.study.trial import Trial
from hptransfer.testing import small_trial
from hptransfer.testing.small import SETTINGS, WIDE_INIT
from hptransfer.training.packs import train_pack


def train(trial: Trial) -> str:
    (outcome,) = train_pack([trial], SETTINGS)
    return outcome.status


def test_it_trains_in_a_moment_and_diverges_where_the_lr_is_absurd() -> None:
    assert train(small_trial()) == "ok"
    assert train(small_trial(lr=1e6)) == "diverged"


def test_what_it_does_and_whatever_else_is_changed_is_in_its_id() -> None:
    trials = [small_trial(), small_trial(1), small_trial(options={"seconds": 0.0}), small_trial(width=32)]
    assert len({trial.id for trial in trials}) == 4


def test_it_raises_where_it_is_told_to_and_once_where_there_is_a_marker(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not train"):
        train(small_trial(options={"behaviour": "raise"}))
    once = small_trial(options={"behaviour": "raise", "marker": str(tmp_path / "marker")})
    with pytest.raises(ValueError, match="does not train"):
        train(once)
    assert train(once) == "ok"


def test_raising_when_wide_is_a_matter_of_the_init_alone() -> None:
    options = {"behaviour": "raise_if_wide"}
    sound, wide = small_trial(options=options), small_trial(options=options, base=BaseHPs(init_std=WIDE_INIT))
    assert sound.shape_key == wide.shape_key
    assert train(sound) == "ok"
    with pytest.raises(ValueError, match="does not train"):
        train(wide)
