"""Trials into packs: one shape a pack, the longest packs first, none so large that a worker waits for another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hptransfer.common.seams import TRAINERS
from hptransfer.execute.pack import Pack
from hptransfer.study.trial import Phase, Trial
from hptransfer.training.settings import BUCKETS
from hptransfer.training.trainer import cost_by_trainer

__all__ = ["MOST_ON_CPU", "packs_of"]

MOST_ON_CPU = 8
"""A CPU worker trains a pack's trials one after another: few are lost with it, and drains are short."""


def packs_of(
    trials: Iterable[Trial], phase: Phase, *, workers: int = 1, stacked: bool = False, most: int | None = None
) -> list[Pack]:
    """Group `trials` by shape into packs of at most `most`, or of one where their trainer takes them singly; longest
    first.

    A shape's trials are spread over the workers where they are few; a shape with fewer trials than workers makes
    packs of one. `stacked`: a worker trains the trials of a pack side by side, so by default a pack is as large as a
    stack may be. Order within a shape is kept, so that equal input gives equal packs.
    """
    usual, share = (BUCKETS[-1], workers) if stacked else (MOST_ON_CPU, 2 * workers)
    most = most or usual
    by_shape: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_shape[trial.shape_key].append(trial)
    packs: list[Pack] = []
    for group in by_shape.values():
        cost = cost_by_trainer(group[0]).flops_dense
        together = TRAINERS.get(group[0].trainer).together
        size = max(1, min(most, -(-len(group) // share))) if together else 1
        packs += [
            Pack(phase, tuple(group[start : start + size]), cost=cost * len(group[start : start + size]))
            for start in range(0, len(group), size)
        ]
    return sorted(packs, key=lambda pack: -pack.cost / len(pack.trials))
