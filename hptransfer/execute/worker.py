"""One pack in one worker process: train it, keep what finished, say what went wrong.

Whatever a user's model raises in training ends here: a trial that raises is the study's result to record, not the
sweep's end.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hptransfer.common.errors import BreachError, OutOfMemoryError
from hptransfer.common.seams import TRAINERS
from hptransfer.execute.base import PackFailure, PackReport
from hptransfer.execute.pack import Pack
from hptransfer.study.trial import Outcome
from hptransfer.training.process import prepare_process
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.trainer import checked_outcome

__all__ = ["redirect_output", "run_pack"]


def run_pack(pack: Pack, settings: WorkerSettings, stop: Callable[[], bool] = lambda: False) -> PackReport:
    """Train the pack's trials here. `stop` is asked between two trials; where it says yes the rest is dropped."""
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    failure: PackFailure | None = None
    left, trainer = {trial.id for trial in pack.trials}, pack.trials[0].trainer
    try:
        prepare_process(settings)  # before an outside trainer is looked for: it says where the user's modules are
        for outcome in TRAINERS.get(trainer).train(pack.trials, settings, pack.pruning):
            outcomes.append(checked_outcome(outcome, left, trainer))
            left.discard(outcome.trial_id)
            if len(outcomes) < len(pack.trials) and stop():
                failure = PackFailure("dropped")
                break
    except (OutOfMemoryError, MemoryError) as error:
        failure = PackFailure("memory", str(error) or type(error).__name__)
    except BreachError as error:
        failure = PackFailure("breach", str(error))
    except (Exception, SystemExit):  # the boundary to a user's model, which may raise anything, or call sys.exit
        failure = PackFailure("raised", traceback.format_exc())
    wall = time.perf_counter() - started
    return PackReport(pack, tuple(outcomes), failure, socket.gethostname(), os.getpid(), wall)


_redirected: set[str] = set()


def redirect_output(log_dir: str | None) -> None:
    """Send this process's standard output and error to a file of its own below `log_dir`, once.

    A folder that this host cannot write to (another node without the shared disk) leaves them where they are.
    """
    if log_dir is None or log_dir in _redirected:
        return
    _redirected.add(log_dir)
    with suppress(OSError):
        folder = Path(log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        target = os.open(
            folder / f"worker-{socket.gethostname()}-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)
