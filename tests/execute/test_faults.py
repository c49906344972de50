"""Drivers that are killed, interrupted or starved, for real: each is a process of its own on the real path."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import ray
from ray import tune
from trials_for_executors import HERE, SETTINGS, a_trial, sweep

from hptransfer.common.errors import InputError
from hptransfer.common.seams import EXECUTORS
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.tune import TuneExecutor
from hptransfer.store.store import Store
from hptransfer.training.settings import WorkerSettings

MARK = "HPTRANSFER_TEST_MARK"
RAYS_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""After a driver's sudden death they try for a minute, now and then, to report it to a Ray that is gone too."""


class Driver:
    """One driver process and everything it starts, found by a mark in the environment."""

    def __init__(self, folder: Path, executor: str, trials: int, seconds: float = 0.0, setup: str = "pass") -> None:
        self.mark = uuid.uuid4().hex
        script = [str(Path(HERE) / "driver_for_faults.py"), str(folder), executor, str(trials), str(seconds)]
        start = f"import runpy, sys; {setup}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, *script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {MARK: self.mark, "PYTHONPATH": HERE},
        )

    def wait_until_running(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("running"), line + self.process.stdout.read()

    def finish(self, timeout: float = 180) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=timeout)
        return self.process.returncode, said

    def left_behind(self, within: float = 30.0, besides: tuple[str, ...] = ()) -> list[str]:
        """Command lines of marked processes that are still there after `within` seconds, but for some names."""
        deadline = time.monotonic() + within
        while (found := [line for line in marked(self.mark) if not line.startswith(besides)]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.1)
        return found


def marked(mark: str) -> list[str]:
    """Command lines of the living processes whose environment holds the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended while we looked, or is another user's
    return found


def listening(mark: str) -> set[str]:
    """Local addresses (as the kernel writes them) that the marked processes listen on."""
    mine = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                mine |= {os.readlink(handle) for handle in (folder / "fd").iterdir()}
        except OSError:
            continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for fields in map(str.split, Path(table).read_text().splitlines()[1:]):
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in mine:
                found.add(fields[1].partition(":")[0])
    return found


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same mapped into IPv6, and ::1."""


@contextmanager
def running(folder: Path, executor: str, trials: int, seconds: float = 0.0) -> Iterator[Driver]:
    driver = Driver(folder, executor, trials, seconds)
    try:
        driver.wait_until_running()
        yield driver
    finally:
        driver.process.kill()
        driver.process.communicate()


def check_store(folder: Path, seen: dict[str, bytes]) -> dict[str, bytes]:
    """No id twice, nothing damaged, what was there is untouched byte for byte; returns what is there now."""
    store = Store.open(str(folder), "s")
    frame = store.read()
    assert frame["trial_id"].is_unique
    assert not store.damaged
    for name, data in seen.items():
        assert (folder / name).read_bytes() == data
    return {name: (folder / name).read_bytes() for name in store.names("trials")}


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "kills"), [("local", 8), ("ray", 2)])
def test_a_driver_killed_at_random_moments_loses_nothing_that_was_stored(
    tmp_path: Path, executor: str, kills: int
) -> None:
    """Ten kills in all; then one run to the end, and planned equals stored."""
    dice = random.Random(f"{executor} {os.getpid()}")
    folder, trials, seen, killed = tmp_path / "s", 150, dict[str, bytes](), list[Driver]()
    for _ in range(kills):
        with running(folder, executor, trials, seconds=0.01) as driver:
            time.sleep(dice.uniform(0, 0.6))
            driver.process.send_signal(signal.SIGKILL)
            driver.process.wait()
        assert driver.left_behind(besides=RAYS_AGENTS) == []
        seen = check_store(folder, seen)
        killed.append(driver)
    assert 0 < len(Store.open(str(folder)).ids()) < trials, "the kills came in the middle of the sweep"
    code, said = Driver(folder, executor, trials, seconds=0.01).finish()
    assert code == 0, said
    check_store(folder, seen)
    assert Store.open(str(folder)).ids() == {a_trial(seed, seconds=0.01).id for seed in range(trials)}
    assert [line for driver in killed for line in driver.left_behind(within=75)] == []


@pytest.mark.slow
@pytest.mark.parametrize("executor", EXECUTORS.built_in)
def test_the_first_ctrl_c_stores_what_is_running_and_leaves_nothing_behind(tmp_path: Path, executor: str) -> None:
    with running(tmp_path / "s", executor, trials=100, seconds=0.05) as driver:
        assert listening(driver.mark) <= LOOPBACK
        assert bool(listening(driver.mark)) == (executor != "local"), "the test does see Ray's ports"
        driver.process.send_signal(signal.SIGINT)
        code, said = driver.finish(timeout=30)
        assert code == 130
        assert "left Interrupted" in said
        assert "Ctrl-C again leaves at once" in said
        strange = [line for line in said.splitlines() if line and not line.startswith(("running", "stopping", "left"))]
        assert strange == [], "no noise from Ray"
        assert driver.left_behind() == []
    stored = Store.open(str(tmp_path / "s")).read()
    assert 0 < len(stored) < 100
    logs = list((tmp_path / "s" / "logs").glob("worker-*.log"))
    assert bool(logs) == (executor != "local"), "workers write to files of their own"
    if executor == "tune":
        results = [json.loads(path.read_text()) for path in tmp_path.glob("s/ray/packs-*/pack-*/result.json")]
        assert sum(result["finished_trials"] for result in results) == len(stored), "Tune's own folder tells the same"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_the_second_ctrl_c_leaves_at_once(tmp_path: Path, executor: str) -> None:
    """A trial here would take minutes to end."""
    driver = Driver(tmp_path / "s", executor, trials=4, seconds=60)
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "s" / "running.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        driver.process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        assert driver.process.poll() is None, "the first one waits for what runs"
        driver.process.send_signal(signal.SIGINT)
        code, said = driver.finish(timeout=15)
        assert code == 130
        assert "left KeyboardInterrupt" in said
        assert driver.left_behind() == []
    finally:
        driver.process.kill()
        driver.process.communicate()


class Lingering(tune.Callback):
    """Takes its time when all trials are done, as Tune itself does on a busy machine."""

    ray_is_there: ClassVar[list[bool]] = []

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        time.sleep(8)
        self.ray_is_there.append(ray.is_initialized())


@pytest.mark.slow
def test_ray_is_left_after_tune_has_tidied_up(tmp_path: Path) -> None:
    """Or Tune's thread would start a Ray of its own, and end this process a minute after that one is gone."""
    rows, _ = sweep(tmp_path, lambda: TuneExecutor(Launch(SETTINGS, workers=1), callbacks=(Lingering(),)), [a_trial()])
    assert len(rows) == 1
    assert Lingering.ray_is_there == [True]
    assert not ray.is_initialized()


def test_a_full_disk_stops_the_sweep_loudly_and_it_resumes_after(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))"
    code, said = Driver(tmp_path / "s", "local", trials=3, setup=limit).finish()
    assert code == 1
    assert "could not be written: a file grew too large" in said
    assert "make room and run again" in said
    assert "Traceback" not in said
    assert Store.open(str(tmp_path / "s")).read().empty
    code, _ = Driver(tmp_path / "s", "local", trials=3).finish()
    assert code == 0
    assert len(Store.open(str(tmp_path / "s")).read()) == 3


def test_a_second_driver_is_refused_with_the_first_ones_pid_and_host(tmp_path: Path) -> None:
    with running(tmp_path / "s", "local", trials=100, seconds=0.05) as first:
        code, said = Driver(tmp_path / "s", "local", trials=1).finish()
    assert code == 2
    assert f"pid {first.process.pid} on host {socket.gethostname()}" in said


def test_a_damaged_part_runs_again_and_alone(tmp_path: Path) -> None:
    Driver(tmp_path / "s", "local", trials=3).finish()
    part = sorted((tmp_path / "s" / "trials").iterdir())[0]
    part.write_bytes(part.read_bytes()[:50])
    lost = 3 - len(Store.open(str(tmp_path / "s")).read())
    assert lost > 0
    code, said = Driver(tmp_path / "s", "local", trials=3).finish()
    assert code == 0
    assert part.name in said
    assert len(Store.open(str(tmp_path / "s")).read()) == 3


@pytest.mark.parametrize("listener", ["nobody", "a web server", "silence"])
def test_an_address_where_no_ray_answers_is_refused_within_ten_seconds(listener: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        if listener != "nobody":
            server.listen(1)
        web = (
            subprocess.Popen([sys.executable, "-c", WEB], stdin=server.fileno()) if listener == "a web server" else None
        )
        with pytest.raises(InputError, match=f"found '{address}'"):
            make_executor("ray", Launch(WorkerSettings(device="cpu"), address=address))
        if web is not None:
            web.kill()
            web.wait()
    assert time.monotonic() - started < 10


WEB = """
import socket
server = socket.socket(fileno=0)
connection, _ = server.accept()
connection.recv(100)
connection.sendall(b"HTTP/1.1 400 Bad Request\\r\\n\\r\\n")
"""


@pytest.mark.parametrize("address", ["nonsense", "host:", "host:99999", ":1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"is no address.*host:port"):
        make_executor("ray", Launch(WorkerSettings(device="cpu"), address=address))
