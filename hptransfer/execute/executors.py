"""Starting an executor by its name, one of this package or `package.module:Class`."""

from __future__ import annotations

import os

from hptransfer.common.seams import EXECUTORS
from hptransfer.execute.base import Executor, Launch

__all__ = ["make_executor"]


def make_executor(name: str, launch: Launch) -> Executor:
    """Start the executor of that name."""
    if name in ("ray", "tune") and launch.address is None and "RAY_ADDRESS" not in os.environ:
        # Ray reads this when it is imported, and then listens on the loopback interface alone.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    found = EXECUTORS.find(name)
    if not (isinstance(found, type) and issubclass(found, Executor)):
        raise EXECUTORS.breach(name, found, "an executor is a subclass of hptransfer.execute.base.Executor")
    if lacking := sorted(found.__abstractmethods__):
        rule = "an executor takes a Launch and has submit, wait and close"
        raise EXECUTORS.breach(name, found, rule, f", lacks {', '.join(lacking)}")
    try:
        started = found(launch)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # from within
        raise EXECUTORS.breach(name, found, f"an executor takes a Launch ({error})") from None
    if not isinstance(getattr(started, "workers", None), int):
        started.close()
        rule = "`workers` is how many packs run at the same time"
        raise EXECUTORS.breach(name, found, rule, f"; found {getattr(started, 'workers', None)!r}")
    return started
