"""Short measurements give usable answers, and leave a process able to train."""

from __future__ import annotations

import pytest
import torch
from small_trials import EAGER, outcome_of, small_trial

from hptransfer.common.errors import OutOfMemoryError
from hptransfer.training import calibrate
from hptransfer.training.calibrate import calibrate_precision, seconds_per_step, stack_size


def test_a_tiny_trial_stays_exact() -> None:
    assert calibrate_precision(small_trial(), EAGER) == "fp32"


def test_a_large_trial_gets_the_faster_precision() -> None:
    trial = small_trial(width=256, training={"batch_size": 16, "sequence_length": 64, "steps": 100})
    assert calibrate_precision(trial, EAGER) in ("fp32", "bf16")


def test_a_timed_program_still_trains_as_before() -> None:
    before = outcome_of(small_trial())
    seconds = seconds_per_step(small_trial(), EAGER)
    assert 0 < seconds < 5
    assert outcome_of(small_trial()).loss == before.loss


def test_a_trial_beyond_the_machine_s_memory_is_refused_before_it_is_built() -> None:
    giant = small_trial(width=2**20)
    with pytest.raises(OutOfMemoryError, match=r"a trial of width 1048576 takes .* TB, cpu has .* GB"):
        seconds_per_step(giant, EAGER)


def test_a_step_that_would_take_minutes_is_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    large = small_trial(width=1024, training={"batch_size": 512, "sequence_length": 128})
    monkeypatch.setattr(calibrate, "program_for", None)  # so building one would fail
    assert seconds_per_step(large, EAGER) > calibrate.PATIENCE_S


def test_a_cpu_takes_trials_one_at_a_time_unless_told() -> None:
    cpu = torch.device("cpu")
    assert stack_size([small_trial()] * 9, EAGER, cpu) == 1
