"""A task of pictures and their classes, as a user writes one: noise, whose class is where it is brightest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo.entry import CLASSES

__all__ = ["Pictures"]

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Noise:
    """Pictures drawn under a key."""

    fingerprint: str = "noise-8"

    def draw(self, key: int, count: int) -> Batch:
        pictures = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(key))
        return pictures, pictures.flatten(1).argmax(1) % CLASSES


class Pictures:
    """Which class a picture is of."""

    unit = "nats per picture"

    def open(self, spec: Any, expected: str = "") -> Noise:
        return Noise()

    def model_arguments(self, data: Noise, training: Any) -> dict[str, int]:
        return {}

    def batch(self, data: Noise, seed: int, step: int, training: Any) -> Batch:
        return data.draw(1000 * seed + step, training.batch_size)

    def held_out(self, data: Noise, training: Any) -> list[Batch]:
        return [data.draw(2**40 + number, training.batch_size) for number in range(2)]

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch[0],)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(output.float(), batch[1])

    def check_output(self, model: nn.Module, output: Any, batch: Batch, data: Noise) -> None:
        assert tuple(output.shape) == (len(batch[1]), CLASSES)

    def chance(self, data: Noise) -> float:
        return math.log(CLASSES)

    def tokens(self, training: Any) -> int:
        return int(training.batch_size)
