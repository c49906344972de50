"""From rows to evidence: optimum, regret, drift, verdict, and what it is worth in compute."""

from hptransfer.analysis.compute import CHINCHILLA, compute_gain, fit_loss_curve, rule_gains, tuning_cost
from hptransfer.analysis.optimum import Noise, Optimum, fit_optimum
from hptransfer.analysis.verdict import Judgement, judge

__all__ = [
    "CHINCHILLA",
    "Judgement",
    "Noise",
    "Optimum",
    "compute_gain",
    "fit_loss_curve",
    "fit_optimum",
    "judge",
    "rule_gains",
    "tuning_cost",
]
