"""The whole search on a surface with a known optimum (lr 2^-7, init 2^-4)."""

from __future__ import annotations

import copy
from math import isnan, log, log2, nan

import pytest

from hptransfer.common.errors import InputError, WorkError
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.proxy.proxy import Proxy, tune_warnings
from hptransfer.trials.settled import Settled

BOTH = {"lr": {"low": 2.0**-10, "high": 2.0**-3}, "init_std": {"low": 2.0**-8, "high": 2.0**-1}}


def run(study, runner):
    return tune(Settled(study, study.base.hps, "fp32", ""), runner).document()


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "qmc", "random", "grid"])
def test_every_sampler_lands_within_half_an_octave_of_the_known_lr(sampler, make_study, surface_runner, bowl_surface):
    base = run(make_study(tune={"sampler": sampler}), surface_runner(bowl_surface))
    assert abs(log2(base["lr"]) + 7) < 0.5


def test_base_json_has_the_keys_of_the_contract_and_the_other_hps_as_the_study_has_them(
    make_study, surface_runner, bowl_surface
):
    runner = surface_runner(bowl_surface)
    base = run(make_study(), runner)
    for key in ("lr", "init_std", "alpha_input", "alpha_output", "weight_decay", "loss", "loss_spread", "flat_low"):
        assert isinstance(base[key], float)
    assert (base["init_std"], base["weight_decay"]) == (2.0**-4, 0.1)
    assert runner.store.files["base.json"] == base
    assert base["trials"] == 24 + 3 * 3
    # A trial costs 32 000; a diverged one stops after the first of its four steps.
    assert base["flops"] == (33 - 0.75 * base["diverged"]) * 1000 * 32
    assert base["fraction_of_target"] == pytest.approx(base["flops"] / base["target_flops"])
    assert base["importances"] == {"lr": 1.0}


def test_the_winner_has_the_least_mean_over_fresh_seeds_not_the_luckiest_search_trial(make_study, surface_runner):
    def lucky(trial):  # at the search's seed one LR has a lucky run; with fresh seeds it is worse than all others
        return 1.0 if trial.seed == 100_000 and log2(trial.base.lr) == -5 else 2 + 0.01 * abs(log2(trial.base.lr) + 7)

    base = run(make_study(tune={"sampler": "grid", "trials": 8}), surface_runner(lucky))
    assert base["lr"] == 2.0**-7
    assert base["loss"] == 2.0
    assert base["loss_spread"] == 0
    assert sorted(log2(f["lr"]) for f in base["finalists"])[-1] == -5


def test_where_seeds_cannot_tell_the_fitted_minimum_wins(make_study, surface_runner):
    def noisy(trial):  # the optimum lies between two points of the mesh, whose fresh seeds are lucky one time in two
        luck = 0.0 if trial.seed == 100_000 or log2(trial.base.lr) % 1 else (-0.02, 0.01)[trial.seed % 2]
        return 2 + 0.01 * (log2(trial.base.lr) + 7.25) ** 2 + luck

    base = run(make_study(tune={"sampler": "grid", "trials": 8, "finalist_seeds": 4}), surface_runner(noisy))
    assert base["finalists"][0]["fitted"]
    assert base["loss"] > min(f["loss"] for f in base["finalists"])  # by its own mean alone it would not have won
    assert log2(base["lr"]) == pytest.approx(-7.25, abs=0.01)


def test_the_flat_range_holds_the_lrs_within_half_a_percent(make_study, surface_runner):
    base = run(
        make_study(tune={"sampler": "grid", "trials": 15}),
        surface_runner(lambda trial: 2 + 0.01 * (log2(trial.base.lr) + 7) ** 2),
    )
    assert base["curvature"] == pytest.approx(0.02)
    assert (log2(base["flat_low"]), log2(base["flat_high"])) == (pytest.approx(-8), pytest.approx(-6))


def test_tune_seeds_are_never_grid_seeds_and_finalist_seeds_are_fresh(make_study, surface_runner, bowl_surface):
    study = make_study(grid={"widths": [32], "seeds": [3, 250_000]})
    runner = surface_runner(bowl_surface)
    run(study, runner)
    seeds = [{trial.seed for trial in batch} for batch in runner.asked]
    assert seeds[:6] == [{300_000}] * 6
    assert seeds[6:] == [{300_001}, {300_002}, {300_003}]
    plain = make_study()
    assert Proxy(Settled(plain, plain.base.hps, "fp32", "")).seed == 100_000


def test_proxy_trials_are_dense_and_of_the_proxy_size(make_study, surface_runner, bowl_surface):
    runner = surface_runner(bowl_surface)
    run(make_study(tune={"steps": 3}), runner)
    assert {(t.width, t.density, t.depth, t.rule, t.training.steps) for batch in runner.asked for t in batch} == {
        (32, 1.0, 2, "supar", 3)
    }


def test_training_settings_can_be_searched_and_reach_the_trials(make_study, surface_runner, bowl_surface):
    space = {"lr": BOTH["lr"], "warmup": {"low": 0.0, "high": 0.5, "log": False}}
    runner = surface_runner(bowl_surface)
    base = run(make_study(space), runner)
    assert 0 <= base["warmup"] <= 0.5
    assert len({t.training.warmup for batch in runner.asked for t in batch}) > 10


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "qmc", "random", "grid"])
def test_a_search_killed_at_any_trial_proposes_what_an_uninterrupted_one_does(
    sampler, make_study, surface_runner, bowl_surface
):
    study = make_study(BOTH, tune={"sampler": sampler, "trials": 16, "finalist_seeds": 2})
    whole = surface_runner(bowl_surface)
    base = run(study, whole)
    for stop in (1, 6, 13, 17) if sampler != "gp" else (9,):  # a GP proposal takes most of a second
        killed = surface_runner(bowl_surface, stop_after=stop)
        with pytest.raises(KeyboardInterrupt):
            run(study, killed)
        resumed = surface_runner(bowl_surface, rows=copy.deepcopy(killed.rows))
        assert run(study, resumed) == base
        assert resumed.proposed == whole.proposed
        assert resumed.evaluated == whole.evaluated - stop


def test_another_tune_seed_is_another_search(make_study, surface_runner, bowl_surface):
    first, second = surface_runner(bowl_surface), surface_runner(bowl_surface)
    run(make_study(), first)
    run(make_study(tune={"seed": 1}), second)
    assert first.proposed != second.proposed


def test_a_finished_search_is_neither_replayed_nor_run_again(make_study, surface_runner, bowl_surface):
    runner = surface_runner(bowl_surface)
    base = run(make_study(), runner)
    runner.asked.clear()
    assert run(make_study(), runner) == base
    assert runner.asked == []
    run(make_study(tune={"trials": 28}), runner)
    assert runner.evaluated > 33


def test_a_lost_row_is_run_again(make_study, surface_runner, bowl_surface):
    runner = surface_runner(bowl_surface)
    base = run(make_study(), runner)
    runner.rows.pop(base["finalists"][0]["trial_ids"][0])
    assert run(make_study(), runner) == base
    assert runner.evaluated == 34


def test_divergence_is_told_as_the_ceiling_and_steers_the_search_away(make_study, surface_runner, bowl_surface):
    runner = surface_runner(bowl_surface)
    base = run(make_study(tune={"trials": 40}), runner)
    runs = runner.store.files["tune.json"]
    diverged = [r for r in runs if r["stage"] == "search" and r["status"] == "diverged"]
    assert base["diverged"] == len(diverged) > 0
    assert all(r["told"] == pytest.approx(log(64)) and isnan(r["loss"]) for r in diverged)
    # A seventh of the range diverges (2^-4 … 2^-3): after the random start, fewer than one in ten trials goes there.
    assert sum(r["number"] >= 10 for r in diverged) <= 3


def test_a_loss_above_the_ceiling_is_told_as_the_ceiling(make_study, surface_runner):
    runner = surface_runner(lambda trial: 50.0 if trial.base.lr > 2**-6 else 2.0 - log2(trial.base.lr) / 100)
    run(make_study(tune={"trials": 8, "sampler": "grid"}), runner)
    assert {r["told"] for r in runner.store.files["tune.json"] if r["loss"] == 50} == {log(64)}


def test_a_trial_that_cannot_be_run_is_left_out_and_counted(make_study, surface_runner, bowl_surface):
    runner = surface_runner(bowl_surface)
    runner.broken = {3}
    base = run(make_study(), runner)
    assert base["failed"] == 1
    assert base["trials"] == 33
    assert abs(log2(base["lr"]) + 7) < 0.5


def test_all_diverged_says_so_and_what_to_lower(make_study, surface_runner):
    with pytest.raises(WorkError, match=r"all 24 proxy trials diverged at every lr from .* lower tune.space.lr"):
        run(make_study(), surface_runner(lambda trial: nan))


def test_finalists_that_diverge_with_another_seed_make_room_for_the_next_best(make_study, surface_runner):
    def edge(trial):  # the higher the LR the better, but above 2^-6 only the search's own seed survives
        octaves = log2(trial.base.lr)
        return nan if octaves > -5.5 and trial.seed != 100_000 else 2 - 0.01 * octaves

    runner = surface_runner(edge)
    base = run(make_study(tune={"sampler": "grid", "trials": 8}), runner)
    assert log2(base["lr"]) == -6
    assert [log2(f["lr"]) for f in base["finalists"] if f["loss"] is None] == [-3, -4, -5]
    assert {r["number"] for r in runner.store.files["tune.json"] if r["stage"] == "finalist"} == set(range(6))
    with pytest.raises(WorkError, match="edge of stability"):
        run(make_study(), surface_runner(lambda trial: 2.0 if trial.seed == 100_000 else nan))


def test_a_winner_at_the_end_of_its_range_is_warned_of(make_study, surface_runner):
    base = run(make_study(tune={"sampler": "grid", "trials": 8}), surface_runner(lambda t: 3 + log2(t.base.lr) / 10))
    assert log2(base["lr"]) == -10
    assert any("low end" in warning and "tune.space.lr" in warning for warning in base["warnings"])


def test_a_proxy_wider_than_the_target_is_warned_of(make_study):
    assert tune_warnings(make_study()) == []
    (warning,) = tune_warnings(make_study(grid={"widths": [16]}))
    assert "width 32" in warning
    assert "wider than the widest target (16)" in warning


def test_a_space_with_a_flat_direction_is_warned_of_unless_one_side_is_bounded(make_study):
    wide, narrow = {"low": 0.25, "high": 16}, {"low": 1, "high": 4}
    (warning,) = tune_warnings(make_study({"alpha_input": wide, "lr_embedding": wide}))
    assert "nearly flat along alpha_input × lr_embedding = constant" in warning
    for one, other in ((wide, narrow), (narrow, wide)):
        assert tune_warnings(make_study({"alpha_input": one, "lr_embedding": other})) == []
    assert tune_warnings(make_study({"lr_embedding": wide, "alpha_output": wide})) == []


def test_base_json_names_the_fitted_minimum_and_what_the_loss_hardly_knows(make_study, surface_runner):
    def valley(trial):  # the product of two multipliers is all that tells, at best 4
        product = log2(trial.base.alpha_input * trial.base.lr_embedding) - 2
        return 2 + 0.02 * (log2(trial.base.lr) + 7) ** 2 + 0.02 * product**2

    wide = {"low": 1, "high": 16}
    space = {"lr": {"low": 2.0**-9, "high": 2.0**-5}, "alpha_input": wide, "lr_embedding": wide}
    base = run(make_study(space, tune={"trials": 216, "sampler": "grid"}), surface_runner(valley))
    assert base["alpha_input"] * base["lr_embedding"] == pytest.approx(4, rel=0.2)
    assert base["fitted_minimum"].keys() == space.keys()
    (flat,) = base["flat_directions"]
    assert flat["direction"]["alpha_input"] * flat["direction"]["lr_embedding"] < -0.3
    assert set(base["importances"]) == set(space)


def test_a_shorter_proxy_run_is_warned_of(make_study):
    (warning,) = tune_warnings(make_study(tune={"steps": 2}))
    assert "horizon" in warning


@pytest.mark.parametrize(
    ("space", "changes", "problem"),
    [
        (None, {"tune": {"strategy": "telescope", "pruner": "median"}}, "tune.pruner"),
        ({"beta1": {"low": 0.5, "high": 1.0}}, {}, "tune.space.beta1.high"),
        ({"beta1": {"low": 0.5, "high": 0.9}}, {"training": {"optimizer": "sgd"}}, "tune.space.beta1"),
        ({"lr": {"low": 0.0, "high": 0.1, "log": False}}, {}, "tune.space.lr.low"),
        ({"lr_vector": {"low": 0.0, "high": 2.0, "log": False}}, {}, "tune.space.lr_vector.low"),
        (BOTH, {"tune": {"sampler": "grid", "trials": 3}}, "tune.trials"),
        (BOTH, {"tune": {"strategy": "telescope", "trials": 20}}, "tune.trials"),
        (None, {"tune": {"strategy": "telescope", "telescope_widths": [16, 8]}}, "tune.telescope_widths"),
    ],
)
def test_a_search_that_cannot_mean_anything_is_refused_by_the_name_of_its_field(
    space, changes, problem, make_study, surface_runner, bowl_surface
):
    with pytest.raises(InputError, match=problem):
        run(make_study(space, **changes), surface_runner(bowl_surface))
