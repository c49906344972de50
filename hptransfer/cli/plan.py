"""`hptransfer plan`: what `run` would do."""

from __future__ import annotations

import json
from typing import Any

import click

from hptransfer.cli.options import JSON, SEARCH, asking

__all__ = ["plan"]


@click.command(short_help="Show what would run, and how long it takes.")
@asking
@JSON
@click.option("--no-calibrate", is_flag=True, help="Do not time a short pack; leaves the time unknown.")
@SEARCH
def plan(as_json: bool, no_calibrate: bool, **given: Any) -> None:
    """Show what `run` would do: trials, packs, what is stored, FLOPs, memory, time. Trains and stores nothing.

    The time comes from a few steps of the cheapest and the dearest shape, measured here; --no-calibrate leaves it out
    and answers at once. Compiling, where a shape is worth it, comes on top.

    \b
    Examples:
      hptransfer plan sweeps/quickstart.yaml
      hptransfer plan my.yaml --no-calibrate --json
    """
    from rich.console import Console

    from hptransfer.cli.plan_table import plan_table
    from hptransfer.drive.plan import plan_of
    from hptransfer.drive.request import Request
    from hptransfer.trials.checks import study_warnings

    request = Request.from_command_line(given)
    found = plan_of(request, calibrate=not no_calibrate)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    Console().print(plan_table(found))
    for warning in found.warnings:
        if warning not in study_warnings(request.study):  # those were told when the study was read
            click.echo(f"hptransfer: warning: {warning}", err=True)
