"""The temperature of the model's logits, as a swept axis."""

from __future__ import annotations

from hptransfer.study.base import BaseHPs
from hptransfer.study.trial import Trial


class Temperature:
    """An option of the model."""

    version = "1"
    name = "outside_lab.axis:Temperature"
    label = "temperature"

    def at_base(self, base: BaseHPs) -> float:
        """Logits as they are."""
        return 1.0

    def put(self, trial: Trial, value: float) -> Trial:
        """The trial whose model has this temperature."""
        options = {**trial.model.options, "temperature": value}
        return trial.model_copy(update={"model": trial.model.model_copy(update={"options": options})})
