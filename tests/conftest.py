"""What holds for every test."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

# Every Ray of the tests keeps to the loopback interface, as a sweep's own does. Ray reads it when it is imported.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

# An example takes as long as it takes on a busy machine. Where CI is set, Hypothesis draws the same examples each time.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _the_same_random_numbers() -> None:
    """PyTorch's global generator starts alike in every test, whichever ran before it in the same process."""
    torch.manual_seed(0)
