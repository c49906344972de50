"""What a trainer asks for is what its trials get, and what is not there is refused instead of waited for."""

from __future__ import annotations

from pathlib import Path

import pytest
from trials_for_executors import SETTINGS, a_trial, sweep

from hptransfer.common.errors import InputError
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor


@pytest.mark.parametrize("executor", ["ray", "tune"])
def test_a_trainer_gets_what_it_asks_for_and_is_refused_what_is_not_there(tmp_path: Path, executor: str) -> None:
    launch = Launch(SETTINGS, workers=2, folder=str(tmp_path))
    wide, greedy = (a_trial().model_copy(update={"trainer": f"trainers_for_executors:{n}"}) for n in ("Wide", "Greedy"))
    rows, runner = sweep(tmp_path, lambda: make_executor(executor, launch), [wide, a_trial(1)])
    assert not runner.failed
    assert rows[wide.id]["loss"] == 2.0
    with pytest.raises(InputError, match=r"asks for more than there is: 64 CPUs for a trial; found '2 CPUs'"):
        sweep(tmp_path, lambda: make_executor(executor, launch), [greedy])
