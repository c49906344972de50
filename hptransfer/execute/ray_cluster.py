"""Starting Ray on this machine, or joining a cluster, without noise and without leaving anything behind."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import ray

from hptransfer.common.errors import InputError
from hptransfer.execute.base import Launch
from hptransfer.execute.pack import Pack
from hptransfer.training.trainer import resources_by_trainer

__all__ = ["Cluster", "join_cluster"]

_OBJECT_STORE_BYTES = 128 * 2**20
_ANSWER_S = 4.0
_LOOPBACK = "127.0.0.1"
_LONGEST_TEMP = 40
"""Ray puts sockets below its folder, and the path of a socket may have 107 characters at most."""


@dataclass(frozen=True)
class Cluster:
    """A running Ray, what it offers to packs, and how to let go of it."""

    gpus: bool
    """Whether packs take a GPU each."""
    threads: int
    most_workers: int | None
    grows: bool
    """Whether it may get more than it has now: not so a Ray that was started here."""
    leave: Callable[[], None]

    @property
    def workers(self) -> int:
        """Packs that fit at the same time; changes as nodes come and go."""
        there = _resources()
        fit = int(there.get("GPU", 0)) if self.gpus else int(there.get("CPU", 0) // self.threads)
        return fit if self.most_workers is None else min(fit, self.most_workers)

    def needs(self, pack: Pack) -> dict[str, float]:
        """CPUs and GPUs that a worker of this pack takes: as its trainer says, else a worker's usual share.

        Refuses what a Ray started here will never have: the pack would wait for ever.
        """
        asked = resources_by_trainer(pack.trials[0])
        needs = {
            "CPU": float(self.threads if asked.cpus is None else asked.cpus),
            "GPU": float(self.gpus if asked.gpus is None else asked.gpus),
        }
        there = _resources()
        for kind, count in needs.items():
            if not self.grows and count > there.get(kind, 0.0):
                raise InputError(
                    f"the trainer asks for more than there is: {count:g} {kind}s for a trial",
                    where=f"trainer: {pack.trials[0].trainer}",
                    found=f"{there.get(kind, 0.0):g} {kind}s",
                    hint="give it more with --workers, or join a cluster with --address",
                )
        return needs


def join_cluster(launch: Launch) -> Cluster:
    """Join the cluster at `launch.address` (`host:port` or `auto`; RAY_ADDRESS counts too), or start Ray here.

    A Ray that runs in this process already is used and left running. Refuses, within ten seconds, an address where
    no Ray answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    settings, address = launch.settings, launch.address or os.environ.get("RAY_ADDRESS")
    grows = ray.is_initialized() or address is not None
    with ExitStack() as leaving:
        if not grows:
            _start(launch, leaving)
        elif address is not None and not ray.is_initialized():
            _join(address)
            leaving.callback(ray.shutdown)
        gpus = settings.device != "cpu" and _resources().get("GPU", 0) >= 1
        if settings.device == "cuda" and not gpus:
            raise InputError("there is no GPU in the Ray cluster", where="--device", found="cuda", allowed="auto, cpu")
        return Cluster(gpus, settings.threads, launch.workers, grows, leaving.pop_all().close)


def _resources() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def _start(launch: Launch, leaving: ExitStack) -> None:
    """Ray on this machine, in a folder of its own that goes with it."""
    if ray.util.get_node_ip_address() == _LOOPBACK:  # type: ignore[no-untyped-call]
        # Nothing but this machine can reach the ports, so Ray need not write a token into the home directory.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    folder = leaving.enter_context(tempfile.TemporaryDirectory(prefix="hpt-", ignore_cleanup_errors=True))
    threads = launch.settings.threads
    workers = launch.workers or max(1, len(os.sched_getaffinity(0)) // threads)
    leaving.callback(ray.shutdown)
    ray.init(
        address="local",
        num_cpus=workers * threads,
        num_gpus=0 if launch.settings.device == "cpu" else None,
        include_dashboard=launch.dashboard,
        dashboard_host=_LOOPBACK,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=_OBJECT_STORE_BYTES,
        _temp_dir=folder if len(folder) <= _LONGEST_TEMP else None,
    )


def _join(address: str) -> None:
    if address not in ("auto", "local"):
        _refuse_silence(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("no Ray cluster to join", where="--address", found=address, hint=reason) from None


def _refuse_silence(address: str) -> None:
    """Ray itself waits for more than a minute for an answer; a cluster's head answers an HTTP/2 greeting at once."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError("is no address", where="--address", found=address, allowed="host:port, auto")
    hint = "start a cluster with `ray start --head`, or leave --address out"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("0", ""):
                return  # the greeting would need the certificates; that something listens has to do
            connection.settimeout(_ANSWER_S)
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            header = connection.recv(9)
    except OSError as error:
        raise InputError(
            f"no Ray answers: {error.strerror or error}", where="--address", found=address, hint=hint
        ) from None
    if len(header) < 4 or header[3] != 4:  # the first frame of an HTTP/2 server is its settings, type 4
        raise InputError("what answers there is not Ray", where="--address", found=address, hint=hint)
