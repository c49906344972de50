"""How often the coordinate check errs on models of every kind: twenty checks of each as it is, and with each error.

    python benchmarks/check_rates.py            results/benchmarks/check_rates.json, and .parquet with a row a check
    python benchmarks/check_rates.py --quick    two models and few seeds; writes nothing

The models, and what is planted in them, are those of tests/zoo. Each is measured once, right ones under 64 seeds and
wrong ones under 32, and twenty checks take these seeds in twenty orders.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pandas as pd
import torch
from common import OUTPUT, ROOT, Row, bound, show, write

sys.path.insert(1, str(ROOT / "tests"))

from zoo.entries import ENTRIES
from zoo.plants import as_built, planted
from zoo.rates import rates_of

SEEDS, SEEDS_PLANTED, QUICK = 64, 32, 8
FALSE_ALARMS, FOUND = 0.01, 0.95


def rows_of(rates: pd.DataFrame) -> list[Row]:
    """Shares over all models."""
    right, wrong = rates[rates["what"] == "as built"], rates[rates["what"] != "as built"]

    def share(part: pd.DataFrame, outcome: str) -> float:
        return float((part["outcome"] == outcome).mean())

    return [
        bound(f"false alarms in {len(right)} checks of right models", share(right, "FAIL"), FALSE_ALARMS, ""),
        bound("right models that stay open", share(right, "INCONCLUSIVE"), None, ""),
        bound(f"planted errors not found in {len(wrong)} checks", 1 - share(wrong, "FAIL"), 1 - FOUND, ""),
        bound("planted errors that stay open", share(wrong, "INCONCLUSIVE"), None, ""),
        bound("seeds until a right model is decided, median", float(right["seeds"].median()), None, "seeds"),
        bound("seeds until a wrong one is decided, median", float(wrong["seeds"].median()), None, "seeds"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, show, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args(arguments).quick
    torch.set_num_threads(1)
    parts = []
    for entry in ENTRIES[:2] if quick else ENTRIES:
        parts.append(rates_of([as_built(entry)], QUICK if quick else SEEDS))
        parts.append(rates_of(planted(entry), QUICK if quick else SEEDS_PLANTED))
        said = pd.concat(parts[-2:]).groupby(["what", "outcome"]).size()
        print(f"{entry}: " + ", ".join(f"{what} {outcome} {n}" for (what, outcome), n in said.items()), flush=True)
    rates = pd.concat(parts, ignore_index=True)
    rows = rows_of(rates)
    show(rows)
    if not quick:
        write("check_rates", rows)
        rates.to_parquet(OUTPUT / "check_rates.parquet")


if __name__ == "__main__":
    main()
