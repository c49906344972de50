"""The search in an Optuna storage, opened with Optuna itself."""

from __future__ import annotations

from math import log2, nan

import optuna
import pytest
from optuna.trial import TrialState

from hptransfer.common.errors import InputError
from hptransfer.study.study import Range
from hptransfer.study.trial import Trial
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.proxy.mirror import frozen_trial
from hptransfer.trials.proxy.tried import Tried
from hptransfer.trials.settled import Settled


def run(study, runner, url):
    return tune(Settled(study, study.base.hps, "fp32", ""), runner, storage_url=url).document()


def test_optuna_opens_the_mirror_and_finds_every_run(tmp_path, make_study, surface_runner, bowl_surface):
    url = f"sqlite:///{tmp_path}/optuna.db"
    runner = surface_runner(bowl_surface)
    base = run(make_study(), runner, url)
    mirrored = optuna.load_study(study_name="bowl", storage=url)
    assert len(mirrored.trials) == 24 + 9
    assert all(trial.state == TrialState.COMPLETE for trial in mirrored.trials)
    assert abs(log2(mirrored.best_params["lr"]) + 7) < 0.5
    labels = [t.user_attrs["label"] for t in mirrored.trials]
    assert labels[0] == "search 0 seed 100000"
    assert {t.user_attrs["trial_id"] for t in mirrored.trials} == set(runner.rows)
    assert base["lr"] in {t.params["lr"] for t in mirrored.trials if t.user_attrs["label"].startswith("finalist")}


def test_a_resumed_search_adds_only_what_is_missing(tmp_path, make_study, surface_runner, bowl_surface):
    url = f"sqlite:///{tmp_path}/optuna.db"
    killed = surface_runner(bowl_surface, stop_after=10)
    with pytest.raises(KeyboardInterrupt):
        run(make_study(), killed, url)
    assert len(optuna.load_study(study_name="bowl", storage=url).trials) == 8
    run(make_study(), surface_runner(bowl_surface, rows=killed.rows), url)
    assert len(optuna.load_study(study_name="bowl", storage=url).trials) == 33


def test_another_search_under_the_same_name_gets_its_own_study(tmp_path, make_study, surface_runner, bowl_surface):
    url = f"sqlite:///{tmp_path}/optuna.db"
    run(make_study(), surface_runner(bowl_surface), url)
    base = run(make_study(tune={"sampler": "random"}), surface_runner(bowl_surface), url)
    names = optuna.get_all_study_names(url)
    assert sorted(names) == sorted(["bowl", f"bowl-{base['provenance']['search_digest']}"])


def test_a_storage_that_cannot_be_opened_is_refused_before_anything_runs(make_study, surface_runner, bowl_surface):
    runner = surface_runner(bowl_surface)
    for url in ("nonsense", "sqlite:////no/such/folder/optuna.db", "nodialect://x"):
        with pytest.raises(InputError, match="--storage"):
            run(make_study(), runner, url)
    assert runner.asked == []


@pytest.mark.parametrize(
    ("status", "told", "state"),
    [
        ("ok", 2.5, TrialState.COMPLETE),
        ("diverged", 5.5, TrialState.COMPLETE),
        ("diverged", None, TrialState.FAIL),  # the task knows no loss of a guess, so the sampler heard nothing
        ("pruned", None, TrialState.PRUNED),
    ],
)
def test_a_run_stands_in_optuna_as_the_sampler_was_told_of_it(status, told, state):
    run = Tried(0, {"lr": 0.01}, Trial(), status, nan, told, {})
    assert frozen_trial({"lr": Range(low=0.001, high=0.1)}, run, "").state == state
