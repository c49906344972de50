"""Trials into packs: one shape a pack, the longest packs first, none so large that a worker waits for another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hptransfer.training.flops import cost_of
from hptransfer.trial import Pack, Phase, Trial

__all__ = ["MOST_ON_CPU", "packs_of"]

MOST_ON_CPU = 8
"""A CPU worker trains a pack's trials one after another: few are lost with it, and drains are short."""


def packs_of(trials: Iterable[Trial], phase: Phase, *, workers: int = 1, most: int = MOST_ON_CPU) -> list[Pack]:
    """Group `trials` by shape into packs of at most `most`, longest first.

    A shape's trials are spread over the workers where they are few; a shape with fewer trials than workers makes
    packs of one. Order within a shape is kept, so that equal input gives equal packs.
    """
    by_shape: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_shape[trial.shape_key].append(trial)
    packs: list[Pack] = []
    for group in by_shape.values():
        cost = cost_of(group[0]).flops_dense
        size = max(1, min(most, -(-len(group) // (2 * workers))))
        packs += [
            Pack(phase, tuple(group[start : start + size]), cost=cost * len(group[start : start + size]))
            for start in range(0, len(group), size)
        ]
    return sorted(packs, key=lambda pack: -pack.cost / len(pack.trials))
