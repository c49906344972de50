"""Seeds are added until a check is decided, up to a cap."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

import pandas as pd

from hptransfer.scaling.check.judge import CheckVerdict

__all__ = ["Judge", "Measure", "check_until_decided", "seed_batches"]

Measure = Callable[[Sequence[str], Sequence[int], int], pd.DataFrame]
"""The rows of these rules and seeds over so many steps."""
Judge = Callable[[pd.DataFrame, int], Sequence[CheckVerdict]]
"""The verdict over each axis of all rows so far, given how often they are looked at."""


def seed_batches(seeds: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """The seeds to start with, then as many fresh ones as there are already, up to `most` in all."""
    batches, have, fresh = [tuple(seeds)], len(seeds), max(seeds) + 1
    while have < most:
        more = min(have, most - have)
        batches.append(tuple(range(fresh, fresh + more)))
        have, fresh = have + more, fresh + more
    return batches


def check_until_decided(
    measure: Measure, judge: Judge, *, rules: Sequence[str], seeds: Sequence[int], most: int, steps: int
) -> tuple[pd.DataFrame, Sequence[CheckVerdict]]:
    """All rows that were measured, and the last verdicts. Only rules that are open on some axis and fail on none get
    more seeds.

    Where the last step is decided, further seeds take one step: the first forward pass and update need no more.
    """
    batches = seed_batches(seeds, most)
    frames: list[pd.DataFrame] = []
    verdicts: Sequence[CheckVerdict] = ()
    for batch in batches:
        frames.append(measure(rules, batch, steps))
        verdicts = judge(pd.concat(frames, ignore_index=True), len(batches))
        rules = [rule for rule in rules if _is_open({verdict.by_rule[rule] for verdict in verdicts})]
        if not rules:
            break
        steps = steps if any(_last_is_open(verdict, rules) for verdict in verdicts) else 1
    return pd.concat(frames, ignore_index=True), verdicts


def _is_open(outcomes: Set[str]) -> bool:
    return "INCONCLUSIVE" in outcomes and "FAIL" not in outcomes


def _last_is_open(verdict: CheckVerdict, rules: Sequence[str]) -> bool:
    rows = verdict.slopes[verdict.slopes["rule"].isin(rules)]
    return bool((rows["outcome"] == "INCONCLUSIVE")[rows["step"] == rows["step"].max()].any())
