"""What a study's own model loses of its init, told before anything trains."""

from __future__ import annotations

import click

from hptransfer.common.errors import InputError
from hptransfer.common.seams import is_outside
from hptransfer.scaling.init_cautions import init_cautions
from hptransfer.scaling.table import scale_table
from hptransfer.training.build import target_of
from hptransfer.trials.settled import Settled

__all__ = ["init_warnings", "tell_init_warnings"]


def init_warnings(settled: Settled) -> list[str]:
    """Cautions on the init of the study's largest, sparsest model. A model that cannot be built gives none: what
    trains it says why."""
    study = settled.study
    if is_outside(study.trainer):  # what another trainer builds it alone knows
        return []
    trial = settled.trial(study.corner, rule=study.grid.rules[0], seed=0)
    try:
        return init_cautions(scale_table(target_of(trial)))
    except InputError:
        raise
    except Exception:  # building a user's own model may raise anything
        return []


def tell_init_warnings(settled: Settled) -> None:
    """Print them."""
    for warning in init_warnings(settled):
        click.echo(f"hptransfer: warning: {warning}", err=True)
