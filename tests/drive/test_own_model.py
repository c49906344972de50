"""What a study says of a user's own model before anything trains."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.drive.load_study import validate_study
from hptransfer.drive.own_model import init_warnings, look_at_own_model
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.trials.settled import Settled


def settled(factory: str, init: dict[str, str] | None = None, **changes: Any) -> Settled:
    tree = {
        "name": "tiny",
        "model": {"factory": factory, "init": init or {}},
        "data": {"source": "synthetic", "vocab_size": 16, "max_bytes": 20_000},
        "base": {"width": 16, "depth": 1},
        "grid": {"rules": ["sp", "supar"], "widths": [16, 32], "densities": [1, 0.25]},
    }
    study = validate_study(tree | changes)
    return Settled(study, study.base.hps, "fp32", open_corpus(study.data).fingerprint)


def test_a_model_that_loses_its_init_is_told_once_for_all_rules(capsys: pytest.CaptureFixture[str]) -> None:
    look_at_own_model(settled("own_inits:designed"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hptransfer: warning: the rule's init takes the place of what the factory built: up.weight")
    assert 'model.init: {"up.weight": built}' in line


@pytest.mark.parametrize("factory", ["mlp", "own_inits:state_space", "own_inits:recurrent"])
def test_nothing_is_told_where_nothing_is_lost(factory: str) -> None:
    assert init_warnings(settled(factory)) == []


def test_the_way_out_ends_it() -> None:
    assert init_warnings(settled("own_inits:designed", {"up.weight": "rescale", "readout.weight": "built"})) == []


def test_a_pattern_of_nothing_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match=r"init: no parameter has such a name; found 'up\.wieght'"):
        init_warnings(settled("own_inits:designed", {"up.wieght": "built"}))


def test_what_another_trainer_builds_or_nobody_can_build_is_left_alone() -> None:
    assert init_warnings(settled("own_inits:designed", trainer="users_trainers:bowl")) == []
    assert init_warnings(settled("own_inits:unbuildable")) == []


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("users_models:Picture", r"does not take what the task 'language' hands it; found 'Picture raised .*\(2, 64\)"),
        ("users_models:WithLogits", r"no tensor; found 'WithLogits gave Output'.*hand out its output's `\.logits`"),
        ("users_models:WrongShape", r"returns the wrong shape; found 'WrongShape gave \(2, 16\)'"),
    ],
)
def test_a_model_that_does_not_fit_its_task_is_refused_before_anything_is_paid_for(factory: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        look_at_own_model(settled(factory))


def test_one_that_fits_or_is_another_trainers_affair_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    look_at_own_model(settled("users_models:Plain"))
    look_at_own_model(settled("users_models:Picture", trainer="users_trainers:bowl"))
    assert capsys.readouterr().err == ""
