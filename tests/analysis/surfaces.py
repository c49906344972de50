"""Synthetic loss surfaces whose optimum, drift, noise, asymmetry and divergence edge are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd

from hptransfer.analysis.optimum import CellPoints
from hptransfer.study.axes import ScaledAxis

Curve = Callable[[np.ndarray], np.ndarray]
FLOOR = 3.0
BATCH_SIZE = ScaledAxis("batch_size", "batch size", "batch_sizes", "batch_size")
"""A scaled axis that is not built in: its entry would be `surfaces:BATCH_SIZE`."""


def quadratic(curvature: float = 0.03) -> Curve:
    """3 + curvature · u²."""
    return lambda u: FLOOR + curvature * u**2


def lopsided(curvature: float = 0.03, fall: float = 0.5, rise: float = 1.5) -> Curve:
    """Falls as 2^(−fall·u), rises as 2^(rise·u), minimum 3 at u = 0 with that curvature: what real curves look like."""
    scale = 2 * curvature / (math.log(2) ** 2 * fall * (fall + rise))
    return lambda u: FLOOR + scale * (2 ** (-fall * u) + fall / rise * 2 ** (rise * u) - 1 - fall / rise)


def walled(curvature: float = 0.03, wall: float = 1.2) -> Curve:
    """A quadratic with a wall eight times as steep that starts `wall` octaves above the minimum."""
    return lambda u: FLOOR + curvature * (u**2 + 8 * np.maximum(0.0, u - wall) ** 2)


def cell(
    rng: np.random.Generator,
    curve: Curve,
    optimum: float | np.ndarray,
    *,
    x: np.ndarray,
    seeds: int,
    noise: float = 0.004,
    offset: float = 0.02,
    edge: float = math.inf,
) -> CellPoints:
    """One cell: a shared offset per seed, independent residuals, divergence above `edge` octaves over the optimum.

    `optimum` is that of all seeds, or one for each.
    """
    u = np.broadcast_to(x - np.reshape(optimum, (-1, 1)), (seeds, len(x)))
    losses = curve(np.minimum(u, 30)) + offset * rng.standard_normal((seeds, 1))
    losses = losses + noise * rng.standard_normal((seeds, len(x)))
    losses[u > edge] = math.inf
    return CellPoints(x, losses)


def frame(
    rng: np.random.Generator | None = None,
    *,
    rules: dict[str, float] | None = None,
    width_drift: float = 0.0,
    widths: Sequence[int] = (64,),
    densities: Sequence[float] = (1.0, 0.25, 0.0625),
    lrs: Sequence[float] = tuple(2.0**k for k in range(-11, -2)),
    seeds: int = 3,
    noise: float = 0.004,
    curve: Curve | None = None,
    edge: float = math.inf,
    best: float = -7.0,
) -> pd.DataFrame:
    """Rows of the store's schema; `rules` maps a rule to its drift in octaves of optimum per octave of density."""
    rng = rng or np.random.default_rng(0)
    rows = []
    for (rule, drift), width, density in product((rules or {"supar": 0.0}).items(), widths, densities):
        x = np.log2(np.array(lrs))
        optimum = best + drift * math.log2(density) + width_drift * math.log2(width / widths[0])
        points = cell(rng, curve or quadratic(), optimum, x=x, seeds=seeds, noise=noise, edge=edge)
        for seed, j in product(range(seeds), range(len(x))):
            loss = float(points.losses[seed, j])
            fine = math.isfinite(loss)
            rows.append(
                {
                    "study": "synthetic",
                    "phase": "grid",
                    "rule": rule,
                    "variant": "",
                    "width": width,
                    "depth": 2,
                    "density": density,
                    "lr": lrs[j],
                    "init_std": 0.05,
                    "seed": seed,
                    "steps": 100,
                    "status": "ok" if fine else "diverged",
                    "loss": loss if fine else math.nan,
                }
            )
    return pd.DataFrame(rows)
