"""A look at a study's own model before anything trains: whether it fits its task, and what it loses of its init."""

from __future__ import annotations

import click

from hptransfer.common.errors import InputError
from hptransfer.common.seams import is_outside
from hptransfer.scaling.init_cautions import init_cautions
from hptransfer.scaling.table import scale_table
from hptransfer.study.study import Cell
from hptransfer.training.build import target_of
from hptransfer.training.fits import refuse_unfit
from hptransfer.trials.settled import Settled

__all__ = ["init_warnings", "look_at_own_model", "refuse_unfit_model"]


def look_at_own_model(settled: Settled) -> None:
    """Refuse a model that does not fit its task, and print what is to be known of its init."""
    refuse_unfit_model(settled)
    for warning in init_warnings(settled):
        click.echo(f"hptransfer: warning: {warning}", err=True)


def refuse_unfit_model(settled: Settled) -> None:
    """Run the model of the base's size once, on two examples; refuse what would fail in every trial."""
    base = settled.study.base
    refuse_unfit(settled.trial(Cell(base.width, 1.0, base.depth), rule=settled.study.grid.rules[0], seed=0))


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
