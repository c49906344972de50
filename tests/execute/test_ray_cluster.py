"""A cluster of two nodes on this machine: one is taken away in the middle, and the sweep comes to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray import exceptions
from ray.cluster_utils import Cluster
from trials_for_executors import SETTINGS, a_trial

from hptransfer.common.errors import InputError
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.ray import failure_of
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.training.settings import WorkerSettings


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    args = {"num_cpus": 1, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # Ray's test cluster writes no token for itself
        cluster = Cluster(initialize_head=True, head_node_args=args)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.slow
def test_a_node_removed_in_the_middle_costs_only_what_was_in_flight_there(tmp_path: Path, cluster: Cluster) -> None:
    node = cluster.add_node(num_cpus=1)
    store = Store.open(str(tmp_path / "s"), "s")
    trials = [a_trial(seed, seconds=0.02) for seed in range(40)]
    with (
        store.lock(),
        Runner(store, lambda: make_executor("ray", Launch(SETTINGS, address=cluster.address)), (), "s") as runner,
    ):
        runner.submit(trials, "grid")
        removed, most_workers = False, 0
        for row in runner.results():
            most_workers = max(most_workers, runner.counts.workers)
            if not removed and runner.counts.stored > 8:
                assert row["status"] == "ok"
                cluster.remove_node(node, allow_graceful=False)
                removed = True
        assert removed
        assert most_workers == 2
        deadline = time.monotonic() + 20
        while runner.counts.workers > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert runner.counts.workers == 1, "the line shows that a node is gone"
        assert not runner.failed
    frame = store.read()
    assert frame["trial_id"].is_unique
    assert set(frame["trial_id"]) == {trial.id for trial in trials}


@pytest.mark.slow
def test_leaving_a_cluster_leaves_it_running(cluster: Cluster) -> None:
    for _ in range(2):
        with make_executor("ray", Launch(SETTINGS, address=cluster.address)) as executor:
            assert executor.workers >= 1
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_gpu_asked_for_where_there_is_none_is_refused(cluster: Cluster) -> None:
    with pytest.raises(InputError, match="no GPU in the Ray cluster"):
        make_executor("ray", Launch(WorkerSettings(device="cuda"), address=cluster.address))
    assert not ray.is_initialized()


def test_rays_errors_are_told_apart() -> None:
    """Its memory monitor kills a worker before the kernel does: that pack is halved. Other deaths are retried."""
    assert failure_of(exceptions.OutOfMemoryError("killed by the memory monitor")).kind == "memory"
    assert failure_of(exceptions.WorkerCrashedError()).kind == "lost"
    assert failure_of(exceptions.NodeDiedError("gone")).kind == "lost"
