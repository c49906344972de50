"""Tasks as users write them, and a model for them: no tokens, batches of several tensors."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.common.errors import InputError


class Sorting:
    """Which of three directions is a point nearest to: batches are dicts."""

    unit = "nats per point"

    def open(self, spec: Any, expected: str = "") -> Any:
        found = f"sorting-{spec.options.get('features', 6)}"
        if expected and expected != found:
            raise InputError("other data", where="data", found=found, allowed=expected)
        return SimpleNamespace(fingerprint=found, features=spec.options.get("features", 6))

    def model_arguments(self, data: Any, training: Any) -> dict[str, int]:
        return {"features": data.features, "outputs": 3}

    def batch(self, data: Any, seed: int, step: int, training: Any) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(1000 * seed + step)
        x = torch.randn(training.batch_size, data.features, generator=draw)
        return {"x": x, "label": x[:, :3].argmax(1)}

    def held_out(self, data: Any, training: Any) -> list[dict[str, Tensor]]:
        return [self.batch(data, 999, step, training) for step in range(3)]

    def inputs(self, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return (batch["x"],)

    def loss(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(output.float(), batch["label"])

    def check_output(self, model: nn.Module, output: Any, batch: dict[str, Tensor], data: Any) -> None:
        if tuple(output.shape) != (len(batch["label"]), 3):
            raise InputError("the model returns the wrong shape", where="model.factory", found=tuple(output.shape))

    def chance(self, data: Any) -> float:
        return math.log(3)

    def tokens(self, training: Any) -> int:
        return training.batch_size


class Fitting(Sorting):
    """The length of a point: batches are pairs, and there is no chance level."""

    unit = "squared error"

    def model_arguments(self, data: Any, training: Any) -> dict[str, int]:
        return {"features": data.features, "outputs": 1}

    def batch(self, data: Any, seed: int, step: int, training: Any) -> Any:
        x = super().batch(data, seed, step, training)["x"]
        return x, x.norm(dim=1)

    def inputs(self, batch: Any) -> tuple[Tensor, ...]:
        return (batch[0],)

    def loss(self, output: Tensor, batch: Any) -> Tensor:
        return F.mse_loss(output[:, 0].float(), batch[1])

    def check_output(self, model: nn.Module, output: Any, batch: Any, data: Any) -> None:
        pass

    def chance(self, data: Any) -> float:
        return math.nan


class Separate(Sorting):
    """A loss for each example."""

    def loss(self, output: Tensor, batch: Any) -> Tensor:
        return F.cross_entropy(output.float(), batch["label"], reduction="none")


class Unsized(Sorting):
    """Hands the model words."""

    def model_arguments(self, data: Any, training: Any) -> Any:
        return {"features": "six", "outputs": 3}


class Free(Sorting):
    """Consumes nothing."""

    def tokens(self, training: Any) -> int:
        return 0


class Uneven(Sorting):
    """Is scored on a whole batch and on the half of one."""

    def held_out(self, data: Any, training: Any) -> list[dict[str, Tensor]]:
        whole, half = (self.batch(data, 999, step, training) for step in range(2))
        return [whole, {key: value[: len(value) // 2] for key, value in half.items()}]


class Growing(Sorting):
    """Its batches have an example more from step 3 on."""

    def batch(self, data: Any, seed: int, step: int, training: Any) -> dict[str, Tensor]:
        batch = super().batch(data, seed, step, training)
        return batch if step < 3 else {key: torch.cat([value, value[:1]]) for key, value in batch.items()}


class Lopsided(Sorting):
    """Forgets a label."""

    def batch(self, data: Any, seed: int, step: int, training: Any) -> dict[str, Tensor]:
        batch = super().batch(data, seed, step, training)
        return {**batch, "label": batch["label"][1:]}


class Untold(Sorting):
    """Leaves its chance level out."""

    def chance(self, data: Any) -> Any:
        return None


class Unscored(Sorting):
    """Has nothing to be scored on."""

    def held_out(self, data: Any, training: Any) -> list[dict[str, Tensor]]:
        return []


class Net(nn.Module):
    """Two layers."""

    def __init__(self, *, width: int, features: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(features, width)
        self.hidden = nn.Linear(width, width)
        self.readout = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(F.gelu(self.hidden(F.gelu(self.inner(x)))))


class Wide(Net):
    """An output too many."""

    def __init__(self, *, width: int, features: int, outputs: int) -> None:
        super().__init__(width=width, features=features, outputs=outputs + 1)
