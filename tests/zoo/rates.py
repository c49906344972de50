"""How often the check errs on a model: measured once, and judged by twenty checks that take its seeds in twenty orders.

Eight seeds first and more where it is open, as the check itself goes about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from zoo.plants import Case, measured, verdict_of

__all__ = ["CHECKS", "rates_of", "shares"]

CHECKS = 20


def rates_of(cases: Iterable[Case], seeds: int) -> pd.DataFrame:
    """One row a check: model, what is wrong with it, outcome, seeds that were looked at, and the worst row."""
    return pd.DataFrame([row for case in cases for row in _checks(case, measured(case, range(seeds)))])


def _checks(case: Case, frame: pd.DataFrame) -> list[dict[str, object]]:
    seeds, rows = np.array(sorted(frame["seed"].unique())), []
    for order in range(CHECKS):
        shuffled = np.random.default_rng(order).permutation(seeds)

        def taken(places: Sequence[int], shuffled: np.ndarray = shuffled) -> pd.DataFrame:
            return frame[frame["seed"].isin(shuffled[list(places)])]

        verdict = verdict_of(taken, case.rule.name, most=len(seeds))
        (outcome,) = verdict.by_rule.values()
        worst = verdict.failures().sort_values("outcome", kind="stable").head(1)
        named = {f"worst_{column}": next(iter(worst[column]), None) for column in ("module", "kind", "slope")}
        looked_at = int(verdict.slopes["seeds"].max())
        rows.append(
            {"model": case.entry.name, "what": case.what, "order": order}
            | {"outcome": outcome, "seeds": looked_at, **named}
        )
    return rows


def shares(rates: pd.DataFrame) -> dict[str, float]:
    """The share of each outcome."""
    return rates["outcome"].value_counts(normalize=True).to_dict()
