"""Packs one after the other in this very process: nothing to start, and a debugger reaches every line."""

from __future__ import annotations

import os
import socket
from collections import deque
from importlib import import_module

from hptransfer.common.errors import InputError
from hptransfer.execute.base import Executor, Launch, PackFailure, PackReport
from hptransfer.execute.pack import Pack
from hptransfer.execute.worker import run_pack
from hptransfer.training.process import device_of

__all__ = ["LocalExecutor"]


class LocalExecutor(Executor):
    """Runs one pack during each `wait`. A worker that dies is this process: the store resumes it."""

    workers = 1

    def __init__(self, launch: Launch) -> None:
        if launch.address is not None:
            raise InputError(
                "the local executor uses no cluster", where="--address", found=launch.address, hint="drop it"
            )
        if launch.workers not in (None, 1):
            raise InputError(
                "the local executor is one process", where="--workers", found=launch.workers, hint="use --executor ray"
            )
        # Now rather than inside the first pack: Python cannot be interrupted cleanly while it loads torch.
        import_module("hptransfer.training.packs")
        self._settings = launch.settings
        self.stacks = device_of(launch.settings).type == "cuda"
        self._waiting: deque[Pack] = deque()
        self._draining = False

    def submit(self, pack: Pack) -> None:
        self._waiting.append(pack)

    def wait(self, timeout: float) -> list[PackReport]:
        if not self._waiting:
            return []
        pack = self._waiting.popleft()
        if self._draining:
            return [PackReport(pack, (), PackFailure("dropped"), socket.gethostname(), os.getpid(), 0.0)]
        return [run_pack(pack, self._settings, lambda: self._draining)]

    def drain(self) -> None:
        self._draining = True

    def close(self) -> None:
        self._waiting.clear()
