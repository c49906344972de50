"""Sizes that follow a power law, with a spread of the slope over seeds that a test chooses."""

from __future__ import annotations

import numpy as np
import pandas as pd


def made_up(
    slope: float = 0.0,
    *,
    kind: str = "activation",
    step: int = 0,
    role: str = "hidden",
    module: str = "blocks.0.up",
    axis: str = "density",
    spread: float = 0.0,
    seeds: int = 8,
    rule: str = "supar",
    grows: bool = True,
) -> pd.DataFrame:
    """Four places, two steps; at `step` every seed has a slope of its own: their mean is `slope`, their sd `spread`.

    Over width the tensor `grows` with it, or has as many numbers everywhere.
    """
    own = np.random.default_rng(0).standard_normal(seeds)
    own = (own - own.mean()) / own.std(ddof=1) if seeds > 1 else np.zeros(1)
    rows = []
    for seed in range(seeds):
        for factor in (1.0, 0.5, 0.25, 0.125):
            for at in (0, 5):
                size = factor ** (slope + spread * own[seed]) if at == step else 1.0
                other = {"width": 64, "density": 1.0} | {axis: factor * 1024 if axis == "width" else factor}
                rows.append(
                    {"rule": rule, "seed": seed, "step": at, "module": module, "kind": kind, "value": size}
                    | {"features": int(1024 * factor) if axis == "width" and grows else 64, "role": role, **other}
                )
    return pd.DataFrame(rows)
