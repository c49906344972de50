"""Programs are found again by shape."""

from __future__ import annotations

import pytest
import torch
from small_trials import EAGER, small_trial

from hptransfer.training.program_cache import program_for

CPU = torch.device("cpu")


TRIAL = small_trial()


pytestmark = pytest.mark.usefixtures("no_programs_left")


def test_the_same_program_serves_trials_that_differ_in_anything_but_shape() -> None:
    program = program_for(TRIAL, EAGER, CPU, 1)
    assert program_for(small_trial(2.0**-3, rule="sp", seed=5), EAGER, CPU, 1) is program
    assert program_for(small_trial(training={"batch_size": 8}), EAGER, CPU, 1) is not program
    assert program_for(small_trial(training={"optimizer": "sgd"}), EAGER, CPU, 1) is not program
