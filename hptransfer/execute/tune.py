"""Packs as Ray Tune trials, for people who live there: Tune's callbacks and results folder work.

Each pack is one Tune trial on a reused actor. Tune only carries; what has run is known by our store alone, because
a restored Tune experiment runs everything again and cannot be given a larger grid.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import queue
import tempfile
import threading
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter
from ray import tune
from ray.tune.search import Searcher

from hptransfer.common.errors import WorkError
from hptransfer.execute.base import Executor, FailureKind, Launch, PackFailure, PackReport
from hptransfer.execute.pack import Pack
from hptransfer.execute.ray_cluster import join_cluster
from hptransfer.execute.worker import redirect_output, run_pack
from hptransfer.training.settings import WorkerSettings

__all__ = ["PackTrainable", "TuneExecutor"]

_SETTINGS, _PACK, _REPORT = TypeAdapter(WorkerSettings), TypeAdapter(Pack), TypeAdapter(PackReport)
"""What travels through Tune does so as JSON: it also reads well in Tune's results folder."""

_END_S = 60.0
"""Seconds that Tune has to tidy up once all packs are back. A call of Ray's after Ray was left would start another."""

_LEAVE_S = 5.0
"""The same where packs are still running: they are given up."""


class TuneExecutor(Executor):
    """`Tuner.fit` in a thread of its own: a searcher hands it packs as they are submitted, a callback brings reports.

    Tune's own results go to the subfolder `ray` of the study's. `callbacks` are further Ray Tune callbacks of yours;
    `verbose` is Tune's own (0 is silent).
    """

    def __init__(self, launch: Launch, *, callbacks: tuple[tune.Callback, ...] = (), verbose: int = 0) -> None:
        self._cluster = join_cluster(launch)
        settings = dataclasses.replace(launch.settings, device="cuda" if self._cluster.gpus else "cpu")
        self.stacks = self._cluster.gpus
        self._packs = _Packs()
        self._reports: queue.Queue[PackReport | BaseException] = queue.Queue()
        self._flying = 0
        if not verbose:  # Tune's newer output engine tells of failed trials even when silent
            os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
        for name in ("ray.tune", "ray.train", "ray.air"):
            logging.getLogger(name).setLevel(logging.WARNING if verbose else logging.CRITICAL)
        tuner = tune.Tuner(
            tune.with_resources(PackTrainable, lambda config: tune.PlacementGroupFactory([config["needs"]])),
            param_space={"settings": _SETTINGS.dump_json(settings).decode()},
            tune_config=tune.TuneConfig(
                search_alg=self._packs,
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_name_of,
                trial_dirname_creator=_name_of,
            ),
            run_config=tune.RunConfig(
                name=f"packs-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}",
                storage_path=_storage(launch.folder),
                callbacks=[_Bring(self._packs, self._reports), *callbacks],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=verbose,
            ),
        )
        self._thread = threading.Thread(target=self._fit, args=(tuner,), name="ray-tune", daemon=True)
        self._thread.start()

    def _fit(self, tuner: tune.Tuner) -> None:
        try:
            tuner.fit()
        except BaseException as error:  # the thread's boundary: whatever ended Tune is for `wait` to raise
            self._reports.put(error)

    @property
    def workers(self) -> int:  # type: ignore[override]
        """Packs that run at the same time; changes as nodes come and go."""
        return self._cluster.workers

    def submit(self, pack: Pack) -> None:
        needs = self._cluster.needs(pack)
        self._flying += 1
        self._packs.waiting.put((pack, needs))

    def wait(self, timeout: float) -> list[PackReport]:
        found: list[PackReport] = []
        while self._flying:
            try:
                report = self._reports.get(timeout=0.0 if found else timeout)
            except queue.Empty:
                break
            if isinstance(report, BaseException):
                raise WorkError(f"Ray Tune stopped: {report}") from report
            self._flying -= 1
            found.append(report)
        return found

    def close(self) -> None:
        self._packs.closed.set()
        self._packs.waiting.put(None)
        self._thread.join(_LEAVE_S if self._flying else _END_S)
        self._cluster.leave()


def _storage(folder: str | None) -> str:
    """Where Tune keeps its own results: in a subfolder of the study's, or for lack of one in one of its own."""
    if folder is None:
        return tempfile.mkdtemp(prefix="hpt-tune-")
    return f"{folder}/ray" if "://" in folder else str(Path(folder).absolute() / "ray")


class _Live:
    """Tune pickles and copies its settings on the way; the live queues inside these two stay the driver's own."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()


class _Packs(_Live, Searcher):
    """Tune asks it for trials; it hands out packs as they come and says when there will be no more."""

    def __init__(self) -> None:
        super().__init__(metric="loss", mode="min")
        self.waiting: queue.Queue[tuple[Pack, dict[str, float]] | None] = queue.Queue()
        self.closed = threading.Event()
        self.flying: dict[str, Pack] = {}

    def suggest(self, trial_id: str) -> Any:
        if self.closed.is_set():
            return Searcher.FINISHED
        try:
            # With nothing in flight Tune would only ask again after a second of sleep, so wait here.
            handed = self.waiting.get(block=not self.flying)
        except queue.Empty:
            return None
        if handed is None:
            return Searcher.FINISHED
        pack, needs = handed
        self.flying[trial_id] = pack
        work = _PACK.dump_json(pack, exclude={"cost"}).decode()
        return {"pack": pack.id, "phase": pack.phase, "work": work, "needs": needs}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The callback brings the report; Tune asks for this one to exist."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: our store is what a later run starts from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: our store is what a later run starts from."""


class _Bring(_Live, tune.Callback):
    """Brings each Tune trial's report to the executor."""

    def __init__(self, packs: _Packs, reports: queue.Queue[PackReport | BaseException]) -> None:
        self._packs, self._reports = packs, reports

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        pack = self._packs.flying.pop(trial.trial_id)
        self._reports.put(_REPORT.validate_python({"pack": pack, **json.loads(trial.last_result["report"])}))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        pack = self._packs.flying.pop(trial.trial_id)
        error = trial.get_error() if hasattr(trial, "get_error") else None
        kind: FailureKind = "memory" if "OutOfMemoryError" in type(error).__name__ else "lost"
        self._reports.put(PackReport(pack, (), PackFailure(kind, text=str(error)), "", 0, 0.0))


class PackTrainable(tune.Trainable):
    """A pack as a Tune trial of one step; the actor is reused for the next pack."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True  # nothing to set up: a step reads all it needs from the `config` that Tune has put in place

    def step(self) -> dict[str, Any]:
        settings = _SETTINGS.validate_json(self.config["settings"])
        redirect_output(settings.log_dir)
        report = run_pack(_PACK.validate_json(self.config["work"]), settings)
        losses = [outcome.loss for outcome in report.outcomes if outcome.loss == outcome.loss]
        return {
            "done": True,
            "loss": min(losses, default=float("nan")),
            "finished_trials": len(report.outcomes),
            "report": json.dumps(_REPORT.dump_python(report, exclude={"pack"}, warnings=False), default=float),
        }


def _name_of(trial: Any) -> str:
    return f"pack-{trial.config['pack']}-{trial.trial_id}"
