"""Builds rows of a study whose truth is known, as the store would hold them: sp drifts, supar stays.

The loss is a skewed parabola in log2 LR around an optimum that moves by a chosen number of octaves per octave of
density and of width; far above the optimum a run diverges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from hptransfer.study.base import BaseHPs, TunedBase

DRIFT = {"sp": (0.67, -0.8), "mup": (0.55, 0.0), "supar": (0.0, 0.0)}
"""Octaves that the best LR moves up per halving of the density, and per doubling of the width."""
BASE = TunedBase(
    BaseHPs(lr=2.0**-7, init_std=0.06, alpha_input=3.2, alpha_output=1.1, weight_decay=0.1),
    trials=32,
    flops=3.1e13,
    loss=2.61,
    loss_spread=0.006,
    flat_low=2.0**-7.6,
    flat_high=2.0**-6.5,
)


def grid_frame(
    *,
    rules: Sequence[str] = ("sp", "mup", "supar"),
    widths: Sequence[int] = (64, 128, 256),
    densities: Sequence[float] = (1, 1 / 4, 1 / 16),
    octaves: Sequence[float] = (-11, -10, -9, -8, -7, -6, -5, -4, -3),
    seeds: int = 3,
    noise: float = 0.004,
    inits: Sequence[float] = (0.06,),
    name: str = "demo",
    start: int = 0,
) -> pd.DataFrame:
    """The fan-out's rows."""
    rng = np.random.default_rng(7 + start)
    shared = rng.normal(0, noise, size=seeds)
    rows = []
    for rule in rules:
        per_density, per_width = DRIFT.get(rule, (0.2, 0.1))
        for width in widths:
            for density in densities:
                halvings, doublings = -math.log2(density), math.log2(width / 64)
                best = -7 + per_density * halvings + per_width * doublings
                floor = 2.55 - 0.09 * doublings + 0.045 * halvings + 0.012 * halvings * (rule != "supar")
                for octave in octaves:
                    for init in inits:
                        off = octave - best
                        shape = 0.035 * off**2 + (0.008 * off**3 if off > 0 else 0.0)
                        shape += 0.03 * (math.log2(init / 0.06) - 0.5 * per_density * halvings) ** 2 * (len(inits) > 1)
                        for seed in range(seeds):
                            loss = floor + shape + shared[seed] + rng.normal(0, noise / 3)
                            rows.append(
                                _row(
                                    name,
                                    "grid",
                                    rule,
                                    width,
                                    density,
                                    2.0**octave,
                                    init,
                                    seed,
                                    loss,
                                    off > 3.2 + 0.15 * seed,
                                    len(rows) + start,
                                )
                            )
    return pd.DataFrame(rows)


def tune_frame(trials: int = 32, name: str = "demo") -> pd.DataFrame:
    """The proxy search's rows: random draws of LR and init that close in on the optimum."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(trials):
        spread = 1.0 if i < 10 else 0.45
        lr, init = 2.0 ** (-7 + spread * rng.normal(0, 2)), 0.06 * 2.0 ** (spread * rng.normal(0, 1.3))
        loss = 2.55 + 0.035 * (math.log2(lr) + 7) ** 2 + 0.02 * math.log2(init / 0.06) ** 2 + rng.normal(0, 0.004)
        rows.append(_row(name, "tune", "supar", 64, 1.0, lr, init, 0, loss, math.log2(lr) > -3.6, 900_000 + i))
    return pd.DataFrame(rows)


def check_frame(rules: Sequence[str] = ("sp", "mup", "supar")) -> pd.DataFrame:
    """A coordinate check as `coordinate_check` gives it: level under supar, shrinking with density under the others."""
    slopes = {"sp": 0.7, "mup": 1.1, "supar": 0.0}
    rows = []
    densities = (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
    for rule, density, step, block, seed in product(rules, densities, range(11), (0, 1), range(3)):
        for module, gain in ((f"blocks.{block}.attention", 1.0), (f"blocks.{block}.ffn", 0.8), ("(model)", 0.3)):
            slope = slopes.get(rule, 0.3) * gain * (1 + 0.08 * step) + 0.01 * step
            value = 0.5 * gain * density**slope * (1 + 0.05 * step) * (1 + 0.02 * seed)
            where = {"rule": rule, "width": 128, "density": density, "seed": seed, "step": step, "module": module}
            rows.append({**where, "kind": "activation", "value": value, "features": 128, "role": ""})
            rows.append({**where, "kind": "gradient", "value": 99.0, "features": 128, "role": ""})
    return pd.DataFrame(rows)


def _row(name, phase, rule, width, density, lr, init, seed, loss, diverged, number):  # type: ignore[no-untyped-def]
    params = 12 * width * width * 2 + 512 * width
    nonzero = 12 * width * width * 2 * density + 512 * width
    return {
        "schema_version": 1,
        "study": name,
        "phase": phase,
        "trial_id": f"{number:020x}",
        "rule": rule,
        "variant": "",
        "optimizer": "adamw",
        "model": "gpt",
        "width": width,
        "depth": 2,
        "base_width": 64,
        "base_depth": 2,
        "density": float(density),
        "sparsity_kind": "random",
        "sparsity_distribution": "uniform",
        "lr": lr,
        "init_std": init,
        "alpha_input": 3.2,
        "alpha_output": 1.1,
        "weight_decay": 0.1,
        "decay": "independent",
        "schedule": "linear",
        "warmup": 0.1,
        "beta1": 0.9,
        "beta2": 0.95,
        "precision": "fp32",
        "seed": seed,
        "steps": 200,
        "batch_size": 16,
        "sequence_length": 64,
        "tokens": 204_800,
        "status": "diverged" if diverged else "ok",
        "loss": math.nan if diverged else loss,
        "train_loss": math.nan if diverged else loss - 0.02,
        "diverged_step": 40 if diverged else None,
        "params": params,
        "params_nonzero": int(nonzero),
        "flops_dense": 6.0 * params * 204_800,
        "flops_nonzero": 6.0 * nonzero * 204_800,
        "wall_s": 2e-5 * params**0.8,
        "peak_memory_bytes": 300_000_000,
        "device": "cpu",
        "products": "dense",
        "data_id": "stdlib-3f9a",
        "code_version": "0.1.0+1a2b3c4",
        "versions": '{"python": "3.13.5", "torch": "2.13.0", "numpy": "2.3.1"}',
        "note": "",
        "finished_at": f"2026-01-02T03:{number // 60 % 60:02d}:{number % 60:02d}Z",
    }
