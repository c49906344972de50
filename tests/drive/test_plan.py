"""Plans: counts a person can check, what stored trials take away, and how time is estimated."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hptransfer.cli.plan_table import plan_table, summary
from hptransfer.common.errors import InputError, OutOfMemoryError
from hptransfer.common.number_text import quantity
from hptransfer.drive.load_study import load_study, validate_study
from hptransfer.drive.plan import Plan, Work, make_plan, planned_work
from hptransfer.store.columns import row_of
from hptransfer.study.study import Study
from hptransfer.study.trial import Outcome, Phase, Status, Trial
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.flops import cost_of
from hptransfer.trials.grid import trials_of
from hptransfer.trials.settled import Settled

SMALL: dict[str, Any] = {
    "name": "small",
    "model": {"options": {"head_size": 16}},
    "data": {"max_bytes": 20_000},
    "training": {"steps": 10, "batch_size": 4, "sequence_length": 16, "eval_tokens": 64},
    "base": {"width": 16, "depth": 1},
    "grid": {
        "rules": ["sp", "supar"],
        "widths": [16, 32],
        "densities": [1, 0.5],
        "lr": [0.001, 0.01, 0.1],
        "seeds": 2,
    },
}


def small(**changes: Any) -> Study:
    return validate_study(SMALL | changes)


def work_of(study: Study, **options: Any) -> list[Work]:
    data_id = open_corpus(study.data).fingerprint
    return planned_work(Settled(study, study.base.hps, "fp32", data_id), **({"tuned": True} | options))


def plan_of(study: Study, rows: Sequence[dict[str, Any]] = (), **options: Any) -> Plan:
    return make_plan(study, work_of(study), rows, **options)


def row(trial: Trial, phase: Phase = "grid", status: Status = "ok") -> dict[str, Any]:
    cost: dict[str, Any] = {"params": 1, "params_nonzero": 1, "flops_dense": 1.0, "flops_nonzero": 1.0}
    outcome = Outcome(trial.id, status, 2.0, 2.0, None, **cost, tokens=1, wall_s=1.0, peak_memory_bytes=0, device="cpu")
    return row_of("small", phase, trial, outcome)


def test_a_grid_is_rules_by_widths_by_densities_by_lrs_by_seeds() -> None:
    plan = plan_of(small())
    assert (plan.planned, plan.stored, plan.diverged, plan.failed) == (2 * 2 * 2 * 3 * 2, 0, 0, 0)
    assert [(p.phase, p.planned) for p in plan.phases] == [("grid", 48)]
    assert [(c.width, c.density, c.planned) for c in plan.cells] == [
        (16, 1, 12),
        (16, 0.5, 12),
        (32, 1, 12),
        (32, 0.5, 12),
    ]
    assert plan.est_seconds is None


def test_a_search_is_planned_by_its_number_of_trials_and_finalists() -> None:
    plan = plan_of(small(tune={"trials": 20, "finalists": 3, "finalist_seeds": 2}))
    assert [(p.phase, p.planned) for p in plan.phases] == [("tune", 26), ("grid", 48)]
    assert plan.planned == 74


def test_a_telescope_is_planned_by_its_levels() -> None:
    plan = plan_of(small(tune={"strategy": "telescope", "trials": 24, "telescope_widths": [16, 32], "finalists": 1}))
    assert {(c.phase, c.width) for c in plan.cells if c.phase == "tune"} == {("tune", 16), ("tune", 32)}
    assert plan.phases[0].planned <= 24 + 3


def test_a_search_that_cannot_mean_anything_is_refused_when_planned() -> None:
    with pytest.raises(InputError, match=r"tune\.space\.beta2\.high"):
        plan_of(small(tune={"space": {"beta2": {"low": 0.9, "high": 1.5}}}))


def test_given_base_hps_leave_the_search_out() -> None:
    study = small(tune={"trials": 20})
    assert [work.phase for work in work_of(study, searched=False)] == ["grid"]


def test_a_bracket_search_is_planned_with_fewer_trials_than_the_grid() -> None:
    fixed = small()
    found = small(
        grid=SMALL["grid"] | {"search": "bracket", "lr": None, "lr_multiples": {"octaves": [-5, 5], "step": 0.5}}
    )
    assert 0 < plan_of(found).planned < 2 * 4 * 21 * 2
    assert {c.planned for c in plan_of(found).cells} != {0}
    assert plan_of(fixed).cells[0].planned == 12


def test_what_is_stored_is_not_run_again() -> None:
    study = small()
    trials = work_of(study)[0].trials
    rows = [row(trials[0]), row(trials[1], status="diverged"), row(trials[2])]
    plan = plan_of(study, rows, failed=1, seconds_per_step=lambda trial: 1.0)
    assert (plan.planned, plan.stored, plan.diverged, plan.failed) == (48, 3, 1, 1)
    assert plan.est_seconds == (48 - 3) * 10
    everything = plan_of(study, [row(trial) for trial in trials], seconds_per_step=lambda trial: 1 / 0)
    assert (everything.stored, everything.packs, everything.est_seconds) == (48, 0, 0)


TUNED = {"trials": 4, "finalists": 1, "finalist_seeds": 2}


def test_stored_trials_of_a_search_count_by_phase_and_never_beyond_the_plan() -> None:
    study = small(tune=TUNED)
    found = [work_of(study)[0].trials[0].model_copy(update={"seed": seed}) for seed in range(1000, 1009)]
    assert plan_of(study, [row(t, "tune") for t in found[:5]]).phases[0].stored == 5
    assert plan_of(study, [row(t, "tune") for t in found]).phases[0].stored == 6
    assert plan_of(study, [row(t, "grid") for t in found]).stored == 0


@pytest.mark.parametrize(
    "change", [{"training": {"steps": 11}}, {"data": {"max_bytes": 10_000}}, {"base": {"width": 32, "depth": 1}}]
)
def test_trials_of_a_search_that_was_asked_otherwise_do_not_count(change: dict[str, Any]) -> None:
    trial = work_of(small(tune=TUNED))[0].trials[0]
    assert plan_of(small(tune=TUNED | {"space": {"lr": {"low": 1e-3, "high": 1}}}), [row(trial, "tune")]).stored == 1
    assert plan_of(small(tune=TUNED, **change), [row(trial, "tune")]).stored == 0


def test_trials_of_another_version_of_an_entry_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from hptransfer.tasks.models.mlp import MLP\nclass Model(MLP):\n    version = 1\n"
    (tmp_path / "versioned_model.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    study = small(tune=TUNED, model={"factory": "versioned_model:Model"})
    stored = [row(work_of(study)[0].trials[0], "tune")]
    assert plan_of(study, stored).stored == 1
    monkeypatch.setattr("versioned_model.Model.version", 2)
    assert plan_of(study, stored).stored == 0


def test_flops_parameters_and_memory_are_those_of_the_trials() -> None:
    study = small()
    trials = work_of(study)[0].trials
    plan = plan_of(study)
    assert plan.flops_dense == pytest.approx(sum(cost_of(trial).flops_dense for trial in trials))
    assert plan.flops_nonzero == pytest.approx(sum(cost_of(trial).flops_nonzero for trial in trials))
    assert plan.flops_nonzero < plan.flops_dense
    assert plan.params == max(cost_of(trial).params for trial in trials)
    sparse = next(cell for cell in plan.cells if cell.density < 1)
    assert sparse.params_nonzero < sparse.params
    assert plan.memory_bytes > 4 * plan.params
    assert 0 < plan.memory_sparse_bytes <= plan.memory_bytes


def test_time_is_read_off_the_line_through_the_cheapest_and_the_dearest_step() -> None:
    study = small()
    timed: list[int] = []

    def seconds_per_step(trial: Trial) -> float:
        timed.append(trial.width)
        return {16: 0.1, 32: 0.3}[trial.width]

    plan = plan_of(study, workers=2, seconds_per_step=seconds_per_step)
    assert timed == [16, 32]
    # Both widths cost what was timed: 24 trials of 10 steps each, on two workers.
    assert plan.est_seconds == pytest.approx((24 * 10 * 0.1 + 24 * 10 * 0.3) / 2)


def test_a_step_that_would_take_too_long_or_does_not_fit_is_reckoned_from_a_cheaper_one() -> None:
    study = small()
    timed: list[int] = []

    def slow(trial: Trial) -> float:
        timed.append(trial.width)
        return 4.0

    def too_large(trial: Trial) -> float:
        if trial.width == 32:
            raise OutOfMemoryError("no room")
        return 0.1

    reckoned = plan_of(study, seconds_per_step=slow).est_seconds
    assert timed == [16]
    assert reckoned is not None
    assert reckoned > 24 * 10 * (4.0 + 4.0), "a wider step takes longer"
    assert plan_of(study, seconds_per_step=too_large).est_seconds == pytest.approx(reckoned / 40)


def test_where_nothing_fits_the_time_is_unknown() -> None:
    def too_large(trial: Trial) -> float:
        raise OutOfMemoryError("no room")

    plan = plan_of(small(), seconds_per_step=too_large)
    assert plan.est_seconds is None
    assert plan.warnings == ("no time was estimated: no room",)


def test_packs_hold_one_shape_and_are_shared_between_workers() -> None:
    study = small()
    assert plan_of(study).packs == len({trial.shape_key for trial in work_of(study)[0].trials}) * 2
    assert plan_of(study, workers=2).packs >= plan_of(study).packs


def test_json_holds_the_contract_s_numbers() -> None:
    told = json.loads(json.dumps(plan_of(small(), warnings=["mind"]).to_json()))
    assert {key: told[key] for key in ("planned", "stored", "diverged", "failed")} == {
        "planned": 48,
        "stored": 0,
        "diverged": 0,
        "failed": 0,
    }
    assert told["est_seconds"] is None
    assert set(told["phases"][0]) >= {"phase", "planned", "stored", "packs", "params", "flops_dense", "flops_nonzero"}
    assert told["warnings"] == ["mind"]


def test_the_table_fits_a_terminal_and_sums_up() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(plan_table(plan_of(small(), seconds_per_step=lambda trial: 0.5)))
    said = " ".join(out.getvalue().split())
    assert "48 trials, 0 stored (0 diverged, 0 failed), 8 packs on 1 worker, about 4m 00s of training left" in said
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert "…" not in out.getvalue()


def test_what_does_not_fit_at_once_is_planned_in_micro_batches() -> None:
    whole = plan_of(small())
    assert whole.micro_batches == 1
    assert "micro-batches" not in summary(whole)
    room = whole.memory_bytes * 3 // 4
    cut = plan_of(small(), room=room)
    assert cut.micro_batches > 1
    assert cut.memory_bytes <= room
    assert f"a batch is worked off in up to {cut.micro_batches} micro-batches" in summary(cut)
    assert cut.to_json()["cells"][0]["micro_batches"] >= 1


def test_planning_starts_no_ray() -> None:
    program = "import sys, hptransfer.drive.plan, hptransfer.cli.plan_table; print('ray' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (2_000_000, "2M"), (3.2e9, "3.2G"), (1e27, "1000Y")]
)
def test_quantities_have_three_digits(value: float, text: str) -> None:
    assert quantity(value) == text


def test_a_bracket_search_is_planned_against_the_fixed_grid_it_replaces(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\ngrid: {rules: [supar], widths: [64], lr: {octaves: [-10, -3]}, seeds: 3, search: bracket}\n"
    )
    study = load_study(path)
    settled = Settled(study, study.base.hps, "fp32", "")
    plan = make_plan(study, planned_work(settled, tuned=True))
    assert plan.fixed_grid == len(trials_of(settled)) == 24
    assert plan.to_json()["fixed_grid"] == 24
    assert f"about {plan.planned} of the fixed grid's 24" in summary(plan)
