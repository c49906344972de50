"""`hptransfer explain`: what a rule does to every tensor of a target."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from hptransfer.cli.options import JSON, asking, targeted

__all__ = ["explain"]


@click.command(short_help="Show what a rule does to every tensor.")
@asking
@JSON
@targeted
def explain(as_json: bool, **given: Any) -> None:
    """Show what a rule does to every tensor of a target: init std, LR, decay, eps, multiplier, and why.

    Builds no weights, so any size answers at once. Base HPs are those of the results folder once it has some.

    \b
    Examples:
      hptransfer explain my.yaml
      hptransfer explain sweeps/quickstart.yaml --rule supar --width 512 --density 0.0625
    """
    from rich.console import Console

    from hptransfer.drive.target import target_trial
    from hptransfer.scaling.explain import cautions, explain_rows, explain_text
    from hptransfer.training.build import target_of
    from hptransfer.training.fits import refuse_unfit

    trial, source = target_trial(given)
    refuse_unfit(trial.model_copy(update={"width": trial.base_width}))
    target = target_of(trial)
    rows = explain_rows(target)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(
        f"{trial.rule} at width {trial.width}, depth {trial.depth}, density {trial.density:g};"
        f" base width {trial.base_width}, {trial.training.optimizer}, {trial.training.decay} decay."
        f" Base HPs: {source}.\n"
    )
    click.echo(explain_text(rows, width=Console().width if sys.stdout.isatty() else None))
    for caution in cautions(target):
        click.echo(f"caution: {caution}")
