"""The one place that knows every executor by name."""

from __future__ import annotations

import os
from pathlib import Path

from hptransfer.common.errors import InputError
from hptransfer.execute.base import Executor
from hptransfer.execute.local import LocalExecutor
from hptransfer.training.settings import WorkerSettings

__all__ = ["EXECUTORS", "make_executor"]

EXECUTORS = ("local", "ray", "tune")


def make_executor(
    name: str,
    settings: WorkerSettings,
    *,
    address: str | None = None,
    workers: int | None = None,
    folder: str | None = None,
    dashboard: bool = False,
) -> Executor:
    """Start an executor.

    `address` is that of a running Ray cluster (`host:port` or `auto`); without one Ray is started on this machine
    alone. `workers` defaults to one a GPU, else one for every `settings.threads` cores. `folder` is the results
    folder: Ray Tune keeps its own results in its subfolder `ray`.
    """
    if name == "local":
        if address is not None:
            raise InputError("the local executor uses no cluster", where="--address", found=address, hint="drop it")
        if workers is not None and workers != 1:
            raise InputError(
                "the local executor is one process", where="--workers", found=workers, hint="use --executor ray"
            )
        return LocalExecutor(settings)
    if address is None and "RAY_ADDRESS" not in os.environ:
        # Ray reads this when it is imported, and then listens on the loopback interface alone.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    # Imported here for that reason, and because importing Ray takes a second that the local executor does without.
    if name == "ray":
        from hptransfer.execute.ray import RayExecutor

        return RayExecutor(settings, address=address, workers=workers, dashboard=dashboard)
    if name == "tune":
        from hptransfer.execute.tune import TuneExecutor

        place = None if folder is None else f"{folder}/ray" if "://" in folder else str(Path(folder).absolute() / "ray")
        return TuneExecutor(settings, address=address, workers=workers, dashboard=dashboard, folder=place)
    raise InputError("no such executor", where="--executor", found=name, allowed=", ".join(EXECUTORS))
