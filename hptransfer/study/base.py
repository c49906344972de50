"""The base: hyperparameters as tuned on the proxy, and what finding them came to (`base.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import Field

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import NonNegative, Positive, Spec
from hptransfer.study.refusals import validated

__all__ = ["TUNED_TRAINING", "BaseHPs", "TunedBase"]

TUNED_TRAINING = ("warmup", "beta1", "beta2")
"""Training settings that a search may tune; they travel with the base HPs."""


class BaseHPs(Spec):
    """Base hyperparameters: the values as tuned on the proxy, before any rule scales them."""

    lr: Positive = Field(default=2.0**-7, description="Base learning rate.")
    init_std: Positive = Field(default=0.05, description="Base standard deviation of the initial weights.")
    alpha_input: Positive = Field(default=1.0, description="Multiplier of the embedding's output.")
    alpha_output: Positive = Field(default=1.0, description="Multiplier of the readout's input.")
    lr_embedding: Positive = Field(default=1.0, description="Multiplier of the embedding's LR.")
    lr_readout: Positive = Field(default=1.0, description="Multiplier of the readout's LR.")
    lr_vector: Positive = Field(
        default=1.0, description="Multiplier of the LR of biases, norm gains and other vectors."
    )
    weight_decay: NonNegative = Field(default=0.1, description="Decoupled weight decay, as given to AdamW.")


@dataclass(frozen=True)
class TunedBase:
    """The content of a base.json. Make one of what is stored with `TunedBase.read`.

    Losses are in the task's unit and None where unknown; `flat_low`, `flat_high` bound the LRs within half a percent of
    the best, `curvature` is the rise per squared octave.
    """

    hps: BaseHPs
    training: Mapping[str, float] = field(default_factory=dict)
    """Of `TUNED_TRAINING` what was tuned too."""
    loss: float | None = None
    loss_spread: float | None = None
    flat_low: float | None = None
    flat_high: float | None = None
    curvature: float | None = None
    trials: int | None = None
    """What the search ran; 0: nothing was tuned; None: the file does not say, as one written by hand."""
    flops: float | None = None
    further: Mapping[str, Any] = field(default_factory=dict)
    """What else the file holds: finalists, importances, levels, warnings, provenance."""

    @property
    def tuned(self) -> bool:
        """Whether something chose these HPs. Otherwise each series' own optimum at its base cell is what transfers."""
        return self.trials != 0

    def transferred(self) -> Mapping[str, float] | None:
        """The values whose transfer is judged, by name; None where nothing was tuned."""
        return self.hps.model_dump() if self.tuned else None

    @classmethod
    def untuned(cls, hps: BaseHPs) -> TunedBase:
        """The base of a study that tunes nothing: nothing spent, loss unknown."""
        return cls(hps, trials=0, flops=0.0, further={"warnings": []})

    @classmethod
    def read(cls, content: object, where: str) -> TunedBase:
        """From a document; refuses one without LR and init std, and values out of range. `where` names it."""
        allowed = ", ".join(BaseHPs.model_fields)
        if not isinstance(content, Mapping):
            raise InputError("must be a JSON object", where=where, found=content, allowed=allowed)
        missing = [name for name in ("lr", "init_std") if not _is_number(content.get(name))]
        if missing:
            raise InputError(
                f"{' and '.join(missing)} must be numbers", where=where, found=sorted(content), allowed=allowed
            )
        try:
            hps = validated(BaseHPs, _given(content, tuple(BaseHPs.model_fields)))
        except InputError as error:
            raise error.at(where) from None
        known = {name: content.get(name) for name in _NUMBERS}
        for name, value in known.items():
            if value is not None and not _is_number(value):
                raise InputError("must be a number or null", where=f"{where}: {name}", found=value)
        taken = {*BaseHPs.model_fields, *TUNED_TRAINING, *_NUMBERS}
        further = {key: value for key, value in content.items() if key not in taken}
        return cls(hps, _given(content, TUNED_TRAINING), **known, further=further)

    def document(self) -> dict[str, Any]:
        """As base.json holds it."""
        return {
            **self.hps.model_dump(),
            **self.training,
            **{name: getattr(self, name) for name in _NUMBERS},
            **self.further,
        }


_NUMBERS = tuple(f.name for f in fields(TunedBase) if f.name not in ("hps", "training", "further"))


def _given(content: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: content[name] for name in names if content.get(name) is not None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
