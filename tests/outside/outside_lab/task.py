"""Label each token of a sequence with the parity of the ones so far; the sequences are drawn, not read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import DataSpec, TrainingSpec

Labelled = dict[str, Tensor]
HELD_OUT = 2**40


@dataclass(frozen=True)
class Sequences:
    """Sequences over so many symbols."""

    symbols: int

    @property
    def fingerprint(self) -> str:
        """The symbols say everything."""
        return f"parity-{self.symbols}"

    def draw(self, key: int, examples: int, length: int) -> Labelled:
        """Examples that depend on the key and the sizes alone."""
        generator = torch.Generator().manual_seed(key)
        tokens = torch.randint(0, self.symbols, (examples, length), generator=generator)
        return {"tokens": tokens, "labels": (tokens == 1).cumsum(1) % 2}


class Parity:
    """Batches are dicts of `tokens` and `labels`, both (B, T); the model maps tokens to logits (B, T, 2)."""

    version = "1"
    unit = "nats per label"

    def open(self, spec: DataSpec, expected: str = "") -> Sequences:
        """Nothing to open: `data.options.symbols` says which sequences are drawn."""
        data = Sequences(int(spec.options.get("symbols", 3)))
        if expected not in ("", data.fingerprint):
            raise InputError("is not the data the trial was planned with", where="data", found=data.fingerprint)
        return data

    def model_arguments(self, data: Sequences, training: TrainingSpec) -> Mapping[str, int]:
        """What the model reads and says."""
        return {"symbols": data.symbols, "classes": 2}

    def batch(self, data: Sequences, seed: int, step: int, training: TrainingSpec) -> Labelled:
        """Drawn by (seed, step)."""
        return data.draw(seed * 2**20 + step, training.batch_size, training.sequence_length)

    def held_out(self, data: Sequences, training: TrainingSpec) -> list[Labelled]:
        """Drawn once and for all."""
        count = max(1, training.eval_tokens // (training.batch_size * training.sequence_length))
        return [data.draw(HELD_OUT + i, training.batch_size, training.sequence_length) for i in range(count)]

    def inputs(self, batch: Labelled) -> tuple[Tensor, ...]:
        """The tokens."""
        return (batch["tokens"],)

    def loss(self, output: Any, batch: Labelled) -> Tensor:
        """Mean cross-entropy of the labels."""
        return F.cross_entropy(output.float().flatten(0, 1), batch["labels"].flatten())

    def check_output(self, model: nn.Module, output: Any, batch: Labelled, data: Sequences) -> None:
        """Two logits at every place."""
        expected = (*batch["labels"].shape, 2)
        if not isinstance(output, Tensor) or tuple(output.shape) != expected:
            raise InputError("the model returns the wrong shape", where="model.factory", allowed=f"logits {expected}")

    def chance(self, data: Sequences) -> float:
        """ln 2, the loss of a coin."""
        return math.log(2)

    def tokens(self, training: TrainingSpec) -> int:
        """Labels of a step."""
        return training.batch_size * training.sequence_length
