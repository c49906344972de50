"""The one place that knows every executor by name."""

from __future__ import annotations

from pathlib import Path

from hptransfer.errors import InputError
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
        return LocalExecutor(settings)
    # Imported here: importing Ray takes a second, and the local executor does without.
    if name == "ray":
        from hptransfer.execute.ray import RayExecutor

        return RayExecutor(settings, address=address, workers=workers, dashboard=dashboard)
    if name == "tune":
        from hptransfer.execute.tune import TuneExecutor

        place = str(Path(folder).absolute() / "ray") if folder is not None else None
        return TuneExecutor(settings, address=address, workers=workers, dashboard=dashboard, folder=place)
    raise InputError("no such executor", where="--executor", found=name, allowed=", ".join(EXECUTORS))
