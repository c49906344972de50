"""The runner's own decisions, on the local executor: what runs, what is retried, what is recorded, when it stops."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from trials_for_executors import SETTINGS, a_trial, one_pack, sweep

from hptransfer.common.errors import InputError, WorkError
from hptransfer.execute.base import Executor, Launch, PackFailure, PackReport
from hptransfer.execute.local import LocalExecutor
from hptransfer.execute.pack import Pack
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store


def local() -> Executor:
    return LocalExecutor(Launch(SETTINGS))


def starts_nothing() -> Executor:
    raise AssertionError("a finished study must not start an executor")


def test_a_finished_study_starts_no_executor_and_rows_come_from_the_store(tmp_path: Path) -> None:
    first, _ = sweep(tmp_path, local, [a_trial(0), a_trial(1, lr=1e6)])
    again, runner = sweep(tmp_path, starts_nothing, [a_trial(0), a_trial(1, lr=1e6)])
    assert json.dumps(again, default=str, sort_keys=True) == json.dumps(first, default=str, sort_keys=True)
    assert (runner.counts.planned, runner.counts.stored, runner.counts.diverged) == (2, 2, 1)


def test_a_changed_budget_or_rule_is_a_new_trial(tmp_path: Path) -> None:
    trial = a_trial(0)
    longer = trial.model_copy(update={"training": trial.training.model_copy(update={"steps": 5})})
    other_rule = trial.model_copy(update={"rule": "mup"})
    rows, _ = sweep(tmp_path, local, [trial, longer, other_rule])
    assert len(rows) == 3
    assert len(Store.open(str(tmp_path / "s")).ids()) == 3


def test_a_single_trial_that_does_not_fit_fails_with_its_reason(tmp_path: Path) -> None:
    too_large = a_trial(behaviour="allocate")
    rows, runner = sweep(tmp_path, local, [too_large])
    assert rows == {}
    assert runner.failed[too_large.id].startswith("out of memory")
    assert (runner.counts.planned, runner.counts.stored, runner.counts.failed) == (1, 0, 1)


def test_a_failure_that_has_been_mended_loses_its_log(tmp_path: Path) -> None:
    trial = a_trial(behaviour="raise", marker=str(tmp_path / "once"))
    _, runner = sweep(tmp_path, local, [trial])
    assert list(runner.failed) == [trial.id]
    rows, _ = sweep(tmp_path, local, [trial])
    assert list(rows) == [trial.id]
    assert list((tmp_path / "s" / "failed").iterdir()) == []


def test_many_failures_in_a_row_stop_the_sweep_with_one_message(tmp_path: Path) -> None:
    bad = [a_trial(seed, behaviour="raise") for seed in range(6)]
    with pytest.raises(WorkError, match=r"stopped: 3 trials in a row failed.*this model does not train"):
        sweep(tmp_path, local, bad, failures_in_a_row=3)


def test_a_success_in_between_starts_the_count_anew(tmp_path: Path) -> None:
    mixed = [a_trial(seed, init_std=1.0 if seed % 2 else 0.05, behaviour="raise_if_odd") for seed in range(6)]
    rows, runner = sweep(tmp_path, local, mixed, failures_in_a_row=2)
    assert (len(rows), len(runner.failed)) == (3, 3)


def test_more_trials_may_be_submitted_while_results_arrive(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "s"), "s")
    with store.lock(), Runner(store, local, (), "s") as runner:
        runner.submit([a_trial(0)], "tune")
        seen = []
        for row in runner.results():
            seen.append((row["phase"], row["seed"]))
            if row["seed"] < 3:
                runner.submit([a_trial(row["seed"] + 1)], "grid")
    assert seen == [("tune", 0), ("grid", 1), ("grid", 2), ("grid", 3)]


def test_a_trial_asked_for_twice_runs_once(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "s"), "s")
    with store.lock(), Runner(store, local, (), "s") as runner:
        first = runner.run([a_trial(0), a_trial(0)], "tune")
        second = runner.run([a_trial(0)], "grid")
    assert list(first) == list(second) == [a_trial(0).id]
    assert len(store.names("trials")) == 1


def test_large_trials_go_first(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "s"), "s")
    with store.lock(), Runner(store, local, (), "s") as runner:
        runner.submit([a_trial(width=16), a_trial(width=64), a_trial(width=32)], "grid")
        assert [row["width"] for row in runner.results()] == [64, 32, 16]


class Flaky(Executor):
    """Real packs on the local executor, but the worker is reported lost as often as told, as a dying node would."""

    workers = 2

    def __init__(self, losses: int) -> None:
        self.inner, self.losses, self.sizes = local(), losses, list[int]()

    def submit(self, pack: Pack) -> None:
        self.inner.submit(pack)

    def wait(self, timeout: float) -> list[PackReport]:
        if self.losses == 0:
            return self.inner.wait(timeout)
        self.losses -= 1
        pack = self.inner._waiting.popleft()
        self.sizes.append(len(pack.trials))
        return [PackReport(pack, (), PackFailure("lost", text="the node died"), "", 0, 0.0)]

    def close(self) -> None:
        self.inner.close()


def test_a_lost_pack_goes_again_whole_and_then_in_halves(tmp_path: Path) -> None:
    """A worker that dies twice may have been killed for its memory."""
    flaky = Flaky(losses=3)
    rows, runner = sweep(tmp_path, lambda: flaky, [a_trial(seed) for seed in range(4)], pack_trials=one_pack)
    assert len(rows) == 4
    assert not runner.failed
    assert flaky.sizes[:3] == [4, 4, 2]


def test_a_trial_under_which_workers_keep_dying_fails(tmp_path: Path) -> None:
    _, runner = sweep(tmp_path, lambda: Flaky(losses=100), [a_trial(0)], lost_retries=2)
    assert runner.failed == {a_trial(0).id: "its worker died 3 times: the node died"}


def test_running_json_tells_where_the_sweep_stands(tmp_path: Path) -> None:
    sweep(tmp_path, local, [a_trial(0), a_trial(1, lr=1e6), a_trial(2, behaviour="raise")])
    document = json.loads((tmp_path / "s" / "running.json").read_text())
    assert {key: document[key] for key in ("planned", "stored", "diverged", "failed", "in_flight")} == {
        "planned": 3,
        "stored": 2,
        "diverged": 1,
        "failed": 1,
        "in_flight": 0,
    }
    assert {"updated", "pid", "best_loss", "phase"} <= set(document)


def test_a_stored_trial_is_not_taken_under_another_variants_name(tmp_path: Path) -> None:
    """Its row keeps the old name, so that the new one would have no rows for ever."""
    sweep(tmp_path, local, [a_trial(0)])
    renamed = a_trial(0).model_copy(update={"variant": "to-zero"})
    with pytest.raises(InputError, match=r"stored under another variant's name.*'to-zero'.*--results"):
        sweep(tmp_path, starts_nothing, [renamed])


class Doubling(LocalExecutor):
    """Hands every report back twice."""

    def wait(self, timeout: float) -> list[PackReport]:
        return 2 * super().wait(timeout)


class Mute(LocalExecutor):
    """Hands nothing back, not even an empty list."""

    def wait(self, timeout: float) -> list[PackReport]:
        return None  # type: ignore[return-value]


class Inventive(LocalExecutor):
    """Fails for a reason of its own."""

    def wait(self, timeout: float) -> list[PackReport]:
        failure = PackFailure("tired")  # type: ignore[arg-type]
        return [replace(report, outcomes=(), failure=failure) for report in super().wait(timeout)]


class Strange(LocalExecutor):
    """Reports outcomes of trials that nobody asked for."""

    def wait(self, timeout: float) -> list[PackReport]:
        reports = super().wait(timeout)
        return [replace(r, outcomes=tuple(replace(o, trial_id="f" * 20) for o in r.outcomes)) for r in reports]


@pytest.mark.parametrize(
    ("kind", "stored", "rule"),
    [
        (Doubling, 1, "every pack comes back exactly once"),
        (Mute, 0, "`wait` gives a list of reports; found None"),
        (Inventive, 0, "a failure is one of memory, lost, raised, breach, dropped; found 'tired'"),
        (Strange, 0, "an outcome for each trial of its pack at most, and no other"),
    ],
)
def test_an_executor_that_breaks_its_contract_is_named_and_loses_nothing(
    tmp_path: Path, kind: type[LocalExecutor], stored: int, rule: str
) -> None:
    with pytest.raises(InputError, match=rf"--executor: .*:{kind.__name__}, from .*test_runner\.py, breaks.*{rule}"):
        sweep(tmp_path, lambda: kind(Launch(SETTINGS)), [a_trial(0), a_trial(1, width=32)])
    assert len(Store.open(str(tmp_path / "s")).ids()) == stored
