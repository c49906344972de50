"""Packs in processes of this machine, each at the other end of a pipe: `python -m outside_lab.executor FD`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from multiprocessing.connection import Connection, Pipe, wait

from hptransfer.common.errors import InputError
from hptransfer.execute.base import Executor, Launch, PackFailure, PackReport
from hptransfer.execute.pack import Pack
from hptransfer.execute.worker import redirect_output, run_pack
from hptransfer.training.settings import WorkerSettings


class Subprocesses(Executor):
    """Starts a process when a pack finds none free, up to `workers`; one that dies is replaced by the next pack's."""

    def __init__(self, launch: Launch) -> None:
        if launch.address is not None:
            raise InputError("subprocesses run on this machine alone", where="--address", found=launch.address)
        self.workers = launch.workers or 2
        self._settings = launch.settings
        self._waiting: deque[Pack] = deque()
        self._free: list[Worker] = []
        self._busy: dict[Connection, tuple[Worker, Pack]] = {}
        self._draining = False

    def submit(self, pack: Pack) -> None:
        """Queue it, and hand it on where a worker is free."""
        self._waiting.append(pack)
        self._hand_on()

    def wait(self, timeout: float) -> list[PackReport]:
        """Whatever the pipes hold by then."""
        reports = []
        if self._draining:
            reports = [PackReport(pack, (), PackFailure("dropped"), "", 0, 0.0) for pack in self._waiting]
            self._waiting.clear()
        for pipe in wait(list(self._busy), 0.0 if reports else timeout):
            assert isinstance(pipe, Connection)
            worker, pack = self._busy.pop(pipe)
            try:
                reports.append(pipe.recv())
                self._free.append(worker)
            except EOFError:
                worker.end()
                failure = PackFailure("lost", text=f"its process ended with status {worker.process.returncode}")
                reports.append(PackReport(pack, (), failure, "", 0, 0.0))
        self._hand_on()
        return reports

    def drain(self) -> None:
        """Start no further pack."""
        self._draining = True

    def close(self) -> None:
        """End every process."""
        for worker in [*self._free, *(worker for worker, _ in self._busy.values())]:
            worker.end()
        self._free, self._busy = [], {}
        self._waiting.clear()

    def _hand_on(self) -> None:
        while self._waiting and not self._draining and len(self._busy) < self.workers:
            worker = self._free.pop() if self._free else Worker(self._settings)
            pack = self._waiting.popleft()
            worker.pipe.send(pack)
            self._busy[worker.pipe] = (worker, pack)


class Worker:
    """A process and the pipe to it. It ends by itself when the driver does: the pipe then ends."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.pipe, theirs = Pipe()
        paths = [*settings.sys_path, *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        theirs.close()
        self.pipe.send(settings)

    def end(self) -> None:
        """Stop it at once."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()


def serve(pipe: Connection) -> None:
    """What such a process does: packs in, reports out, until the driver is gone."""
    settings = pipe.recv()
    redirect_output(settings.log_dir)
    while True:
        try:
            pack = pipe.recv()
            pipe.send(run_pack(pack, settings))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
