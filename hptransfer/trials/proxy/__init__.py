"""Tune: search base hyperparameters on the small dense proxy, and say how sure and how flat the winner is."""

from hptransfer.trials.proxy.driver import tune, untuned_base
from hptransfer.trials.proxy.space import check_tune, planned_trials, tune_warnings

__all__ = ["check_tune", "planned_trials", "tune", "tune_warnings", "untuned_base"]
