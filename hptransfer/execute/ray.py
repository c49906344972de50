"""Packs as plain Ray tasks, on this machine or on a cluster.

Ray keeps idle worker processes and hands them the next task, so compiled programs and opened corpora stay with
them. Retrying is the runner's business: a task is never repeated by Ray itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import ray
from ray import exceptions

from hptransfer.execute.base import Executor, Launch, PackFailure, PackReport
from hptransfer.execute.pack import Pack
from hptransfer.execute.ray_cluster import join_cluster
from hptransfer.execute.worker import redirect_output, run_pack
from hptransfer.training.settings import WorkerSettings

__all__ = ["RayExecutor", "failure_of"]


class RayExecutor(Executor):
    """Long-lived Ray workers that carry packs: a GPU each, or `settings.threads` cores each."""

    def __init__(self, launch: Launch) -> None:
        self._cluster = join_cluster(launch)
        # "auto" is settled here: a task without a GPU must not reach for one that Ray gave to another.
        # By value, not through Ray's store: a task then needs nothing of the driver's to start.
        self._settings = dataclasses.replace(launch.settings, device="cuda" if self._cluster.gpus else "cpu")
        self.stacks = self._cluster.gpus
        self._train = ray.remote(_train)
        self._flying: dict[Any, Pack] = {}

    @property
    def workers(self) -> int:  # type: ignore[override]
        """Packs that run at the same time; changes as nodes come and go."""
        return self._cluster.workers

    def submit(self, pack: Pack) -> None:
        needs = self._cluster.needs(pack)
        train = self._train.options(num_cpus=needs["CPU"], num_gpus=needs["GPU"], max_retries=0)
        self._flying[train.remote(pack, self._settings)] = pack

    def wait(self, timeout: float) -> list[PackReport]:
        if not self._flying:
            return []
        ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=timeout)
        if ready:  # whatever else is there by now comes along, so that it is stored together
            ready, _ = ray.wait(list(self._flying), num_returns=len(self._flying), timeout=0)
        return [self._report(ref, self._flying.pop(ref)) for ref in ready]

    def _report(self, ref: Any, pack: Pack) -> PackReport:
        try:
            report: PackReport = ray.get(ref)
        except exceptions.RayError as error:
            return PackReport(pack, (), failure_of(error), "", 0, 0.0)
        return dataclasses.replace(report, pack=pack)

    def close(self) -> None:
        self._flying.clear()
        self._cluster.leave()


def failure_of(error: exceptions.RayError) -> PackFailure:
    """What Ray's error means for the pack."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return PackFailure("memory", text=str(error))
    if isinstance(error, exceptions.RayTaskError):
        return PackFailure("raised", text=str(error))
    return PackFailure("lost", text=f"{type(error).__name__}: {error}")


def _train(pack: Pack, settings: WorkerSettings) -> PackReport:
    redirect_output(settings.log_dir)
    return run_pack(pack, settings)
