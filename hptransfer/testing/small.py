"""The trials that the suites run: tiny language models that train in a moment, some of which misbehave on purpose.

They are named in a trial as `hptransfer.testing.small:build`, so that a worker process finds them as it finds a
user's own. What one does is an option of the model, which is part of the trial's id.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.study.trial import Trial
from hptransfer.training.settings import WorkerSettings

__all__ = ["SETTINGS", "TRAINING", "WIDE_INIT", "build", "small_trial"]

SETTINGS = WorkerSettings(device="cpu", compile="never")
TRAINING = TrainingSpec(steps=4, batch_size=2, sequence_length=8, eval_tokens=64, precision="fp32")
DATA = DataSpec(source="synthetic", vocab_size=16)
WIDE_INIT = 1.0
"""The base init std at which `raise_if_wide` raises; it is data, so a pack may hold one such trial among sound ones."""


class Small(nn.Module):
    """Embedding, one hidden matrix, readout."""

    def __init__(self, width: int, vocab_size: int, behaviour: str, marker: str | None, seconds: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.hidden = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width, vocab_size, bias=False)
        self.behaviour, self.marker, self.seconds = behaviour, marker, seconds

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        if self.training and not tokens.is_meta:  # what looks at a model before it trains calls it in evaluation mode
            self._behave()
        logits: Tensor = self.readout(torch.tanh(self.hidden(self.embed(tokens))))
        return logits

    def _behave(self) -> None:
        if self.seconds:
            time.sleep(self.seconds)
        if self.marker is not None:
            if Path(self.marker).exists():
                return  # it misbehaves once
            Path(self.marker).touch()
        wide = self.behaviour == "raise_if_wide" and self.hidden.weight.std() > WIDE_INIT / 2
        if self.behaviour == "raise" or wide:
            raise ValueError("this model does not train")
        if self.behaviour == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behaviour == "allocate":
            torch.empty(2**52)


def build(
    *, width: int, vocab_size: int, behaviour: str = "", marker: str | None = None, seconds: float = 0.0
) -> nn.Module:
    """The factory. `behaviour`: `raise`, `raise_if_wide`, `die` or `allocate`; with a `marker` file only once.
    `seconds` is slept in every forward pass that trains."""
    return Small(width, vocab_size, behaviour, marker, seconds)


def small_trial(seed: int = 0, *, lr: float = 2.0**-7, options: dict[str, Any] | None = None, **changes: Any) -> Trial:
    """A trial of the small model at its base width; `options` are the model's, `changes` further fields of a trial."""
    given: dict[str, Any] = {
        "model": ModelSpec(factory="hptransfer.testing.small:build", options=options or {}),
        "data": DATA,
        "training": TRAINING,
        "rule": "sp",
        "base_width": 16,
        "width": 16,
        "base": BaseHPs(lr=lr),
        "seed": seed,
    }
    return Trial(**given | changes)
