"""A driver as the command line would start it, for tests that kill, interrupt or starve one.

    python driver_for_faults.py FOLDER EXECUTOR TRIALS SECONDS_A_STEP

Prints `running` once the first trial is stored, and its exit status is that of the command line.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from trials_for_executors import SETTINGS, a_trial

from hptransfer.common.errors import HptransferError
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store


def main(folder: str, executor: str, trials: int, seconds: float) -> int:
    store = Store.open(folder, "s")
    workers = None if executor == "local" else 2
    settings = replace(SETTINGS, log_dir=f"{folder}/logs")
    try:
        with (
            store.lock(),
            Runner(
                store, lambda: make_executor(executor, Launch(settings, workers=workers, folder=folder)), (), "s"
            ) as runner,
        ):
            runner.submit([a_trial(seed, seconds=seconds) for seed in range(trials)], "grid")
            for row in runner.results():
                sys.stdout.write(f"running {row['trial_id']}\n")
                sys.stdout.flush()
            return 1 if runner.failed else 0
    except KeyboardInterrupt as interrupt:
        print("left", type(interrupt).__name__, flush=True)
        return 130
    except HptransferError as error:
        print(error, flush=True)
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
