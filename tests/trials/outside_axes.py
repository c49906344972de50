"""Swept axes as a user would write them, named by tests as `outside_axes:NAME`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hptransfer.study.base import BaseHPs
from hptransfer.study.trial import Trial


@dataclass(frozen=True)
class SettingAxis:
    """An axis over one of the training settings."""

    name: str
    label: str
    setting: str
    base: float
    version: str = ""

    def at_base(self, base: BaseHPs) -> float:
        return self.base

    def put(self, trial: Trial, value: float) -> Trial:
        training = trial.training.model_copy(update={self.setting: value})
        return trial.model_copy(update={"training": training})


class Broken(SettingAxis):
    """Gives back nothing."""

    def put(self, trial: Trial, value: float) -> Any:
        return None


class Idle(SettingAxis):
    """Gives back the trial as it is."""

    def put(self, trial: Trial, value: float) -> Trial:
        return trial


class Counting(SettingAxis):
    """Takes whole numbers, as a batch size does."""

    def put(self, trial: Trial, value: float) -> Trial:
        return super().put(trial, max(1, round(value)))


class Sowing(SettingAxis):
    """Moves the seed along with its value."""

    def put(self, trial: Trial, value: float) -> Trial:
        return super().put(trial, value).model_copy(update={"seed": 7})


class Baseless(SettingAxis):
    """Has no value at the base."""

    def at_base(self, base: BaseHPs) -> Any:
        return None


EPS = SettingAxis("outside_axes:EPS", "ε", "eps", 1e-8)
MOMENTUM = SettingAxis("outside_axes:MOMENTUM", "momentum", "momentum", 0.9, version="2")
BATCH = Counting("outside_axes:BATCH", "batch size", "batch_size", 16)
BROKEN = Broken("outside_axes:BROKEN", "broken", "eps", 1e-8)
IDLE = Idle("outside_axes:IDLE", "idle", "eps", 1e-8)
SOWING = Sowing("outside_axes:SOWING", "sowing", "eps", 1e-8)
BASELESS = Baseless("outside_axes:BASELESS", "baseless", "eps", 1e-8)
