"""The verdict's thresholds, as the `verdict` section of a study sets them. They are applied in `analysis`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from hptransfer.study.pieces import Positive, Spec, Texts, read_number
from hptransfer.study.series_name import split_series

__all__ = ["VerdictSpec"]


class VerdictSpec(Spec):
    """What counts as stable."""

    expect_stable: Texts = Field(
        default=("supar",), description="Rules that must be STABLE for `hptransfer verdict` to exit 0."
    )
    delta: Positive = Field(default=0.005, description="Regret allowed, relative (0.005 is half a percent).")
    slope_margin: Positive = Field(default=0.1, description="Drift allowed, in octaves of optimum per octave of axis.")
    confidence: Annotated[float, BeforeValidator(read_number)] = Field(
        default=0.95, gt=0.5, lt=1, description="Confidence of every interval."
    )

    @property
    def stable_rules(self) -> tuple[str, ...]:
        """The rules of the series that must be stable, in that order."""
        return tuple(dict.fromkeys(split_series(name)[0] for name in self.expect_stable))
