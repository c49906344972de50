"""What every executor promises, run against all of them: the same rows, and nothing lost when things go wrong.

Ctrl-C belongs to the same suite; it needs a driver of its own and so lives in `test_faults.py`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from ray import tune
from trials_for_executors import BUDGET, SETTINGS, a_trial, one_pack, sweep

from hptransfer.common.errors import InputError
from hptransfer.common.seams import EXECUTORS
from hptransfer.execute.base import Executor, Launch, PackReport
from hptransfer.execute.executors import make_executor
from hptransfer.execute.pack import Pack
from hptransfer.execute.pruning import PastRun, Pruning
from hptransfer.execute.runner import Runner
from hptransfer.execute.tune import TuneExecutor
from hptransfer.store.store import Store


class Shared(Executor):
    """An executor that one test after another uses: workers take seconds to start. A runner cannot close it."""

    def __init__(self, inner: Executor) -> None:
        self.inner, self.workers = inner, inner.workers

    def submit(self, pack: Pack) -> None:
        self.inner.submit(pack)

    def wait(self, timeout: float) -> list[PackReport]:
        return self.inner.wait(timeout)

    def close(self) -> None:
        assert self.inner.wait(0.0) == [], "every pack has come back before a runner lets go"


class Seen(tune.Callback):
    """A Ray Tune callback of the user's own."""

    results: ClassVar[list[dict[str, Any]]] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.results.append(trial.last_result)


@pytest.fixture(params=EXECUTORS.built_in, scope="module")
def executor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    inner = {
        "local": lambda: make_executor("local", Launch(SETTINGS)),
        "ray": lambda: make_executor("ray", Launch(SETTINGS, workers=2)),
        "tune": lambda: TuneExecutor(
            Launch(SETTINGS, workers=2, folder=str(tmp_path_factory.mktemp("tune"))), callbacks=(Seen(),)
        ),
    }[request.param]()
    with inner:
        yield Shared(inner)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module `mine` that lies outside the package."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mine.py"
    sys.modules.pop("mine", None)


SAME = ["trial_id", "status", "loss", "train_loss", "diverged_step", "params", "flops_dense", "tokens", "data_id"]


def test_all_executors_give_the_same_rows(tmp_path: Path, executor: Executor) -> None:
    """The rows of the local executor are the reference; divergence is a result like any other."""
    trials = [a_trial(seed, lr=lr) for lr in (2.0**-7, 1e6) for seed in range(2)]
    rows, runner = sweep(tmp_path, lambda: executor, trials)
    assert set(rows) == {trial.id for trial in trials}
    assert [rows[trial.id]["status"] for trial in trials] == ["ok", "ok", "diverged", "diverged"]
    assert math.isnan(rows[trials[2].id]["loss"])
    assert not runner.failed
    sweep(tmp_path / "reference", lambda: make_executor("local", Launch(SETTINGS)), trials)
    found, expected = (
        Store.open(str(folder / "s")).read().set_index("trial_id", drop=False).loc[sorted(rows), SAME]
        for folder in (tmp_path, tmp_path / "reference")
    )
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_larger_grid_reuses_what_is_stored(tmp_path: Path, executor: Executor) -> None:
    sweep(tmp_path, lambda: executor, [a_trial(0)])
    parts = {path: path.read_bytes() for path in (tmp_path / "s" / "trials").iterdir()}
    rows, _ = sweep(tmp_path, lambda: executor, [a_trial(0), a_trial(1)])
    assert len(rows) == 2
    assert all(path.read_bytes() == data for path, data in parts.items())


def test_a_pack_out_of_memory_is_halved_and_ids_stay(tmp_path: Path, executor: Executor) -> None:
    trials = [a_trial(seed, behaviour="allocate", marker=str(tmp_path / "once")) for seed in range(4)]
    rows, runner = sweep(tmp_path, lambda: executor, trials, pack_trials=one_pack)
    assert set(rows) == {trial.id for trial in trials}
    assert not runner.failed


def test_a_trial_that_raises_is_recorded_with_its_traceback_and_the_others_go_on(
    tmp_path: Path, executor: Executor
) -> None:
    """All four share a pack; the one at fault is found by halving."""
    trials = [a_trial(seed, behaviour="raise_if_odd") for seed in range(3)]
    odd = a_trial(3, behaviour="raise_if_odd", init_std=1.0)
    rows, runner = sweep(tmp_path, lambda: executor, [trials[0], odd, *trials[1:]], pack_trials=one_pack)
    assert set(rows) == {trial.id for trial in trials}
    assert list(runner.failed) == [odd.id]
    log = (tmp_path / "s" / "failed" / f"{odd.id}.log").read_text()
    assert "ValueError: this model does not train" in log
    assert "behaviours.py" in log
    assert '"init_std": 1.0' in log


def test_a_worker_killed_is_replaced_and_its_pack_runs_again(
    tmp_path: Path, executor: Executor, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["executor"] == "local":
        pytest.skip("the local executor's worker is the driver; test_faults.py kills drivers")
    trials = [a_trial(seed, behaviour="die", marker=str(tmp_path / "once")) for seed in range(2)]
    rows, runner = sweep(tmp_path, lambda: executor, [*trials, a_trial(9)])
    assert set(rows) == {trial.id for trial in [*trials, a_trial(9)]}
    assert not runner.failed


def test_unknown_executors_and_pointless_addresses_are_refused() -> None:
    with pytest.raises(InputError, match=r"no such executor; found 'slurm'; allowed: local, ray, tune or package"):
        make_executor("slurm", Launch(SETTINGS))
    with pytest.raises(InputError, match="--address"):
        make_executor("local", Launch(SETTINGS, address="10.0.0.1:6379"))
    with pytest.raises(InputError, match="--workers"):
        make_executor("local", Launch(SETTINGS, workers=2))


def test_an_executor_from_outside_is_found_by_its_class(tmp_path: Path, outside: Path) -> None:
    outside.write_text(
        "from hptransfer.execute.local import LocalExecutor\nclass Mine(LocalExecutor):\n    workers = 7\n"
    )
    rows, _ = sweep(tmp_path, lambda: make_executor("mine:Mine", Launch(SETTINGS)), [a_trial(0)])
    assert list(rows) == [a_trial(0).id]
    with make_executor("mine:Mine", Launch(SETTINGS)) as executor:
        assert executor.workers == 7


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("class Mine:\n    pass\n", "an executor is a subclass of hptransfer.execute.base.Executor"),
        ("def Mine(launch):\n    pass\n", "an executor is a subclass of hptransfer.execute.base.Executor"),
        (
            "from hptransfer.execute.base import Executor\nclass Mine(Executor):\n    def close(self):\n        pass\n",
            "an executor takes a Launch and has submit, wait and close",
        ),
    ],
)
def test_an_executor_that_breaks_the_contract_is_named_with_rule_and_file(text: str, rule: str, outside: Path) -> None:
    outside.write_text(text)
    with pytest.raises(InputError) as refused:
        make_executor("mine:Mine", Launch(SETTINGS))
    assert rule in str(refused.value)
    assert f"mine:Mine, from {outside}" in str(refused.value)


@pytest.mark.parametrize("executor", ["tune"], indirect=True)
def test_tune_callbacks_work(tmp_path: Path, executor: Executor) -> None:
    before = len(Seen.results)
    rows, _ = sweep(tmp_path, lambda: executor, [a_trial(77)])
    assert [result["loss"] for result in Seen.results[before:]] == [rows[a_trial(77).id]["loss"]]


def test_pruning_travels_with_the_pack(tmp_path: Path, executor: Executor) -> None:
    """Five earlier runs were far better at every rung, so the median pruner ends this one."""
    better = PastRun(rungs=tuple((rung, 0.0) for rung in (1, 2)), told=0.0)
    trial = a_trial(5)
    pruning = Pruning(pruner="median", steps=BUDGET.steps, past=(better,) * 5, numbers={trial.id: 5})
    store = Store.open(str(tmp_path / "s"), "s")
    with store.lock(), Runner(store, lambda: executor, (), "s") as runner:
        rows = runner.run([trial, a_trial(6)], "tune", pruning)
    assert rows[trial.id]["status"] == "pruned"
    assert math.isnan(rows[trial.id]["loss"])
    assert rows[a_trial(6).id]["status"] == "ok"


def test_an_executor_that_takes_no_launch_or_has_no_workers_is_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_executors.py").write_text(
        "from hptransfer.execute.local import LocalExecutor\n"
        "class Closed(LocalExecutor):\n    def __init__(self): pass\n"
        "class Vague(LocalExecutor):\n    workers = 'two'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"my_executors:Closed, from .*an executor takes a Launch"):
        make_executor("my_executors:Closed", Launch(SETTINGS))
    with pytest.raises(InputError, match=r"my_executors:Vague, from .*`workers` is how many packs.*found 'two'"):
        make_executor("my_executors:Vague", Launch(SETTINGS))
