"""The commands that train: `run`, and its halves `tune` and `fanout`."""

from __future__ import annotations

import sys
from typing import Any

import click

from hptransfer.cli.options import STORAGE, with_grid, working

__all__ = ["fanout", "run", "tune"]


@click.command(short_help="Tune, check, fan out, judge, draw: the whole study.")
@working
@with_grid
@STORAGE
@click.option("--no-check", is_flag=True, help="Skip the coordinate check that guards the sweep.")
def run(no_check: bool, **given: Any) -> None:
    """Tune, check, fan out, judge, plot and report. Continues by itself where an earlier run stopped.

    A model that does not fit, or whose first step the coordinate check refuses, is refused before the search.

    Needs nothing but the study file. What is stored is not run again, so the same command resumes a run that was
    stopped or killed, and extends one whose study file grew. The first Ctrl-C lets what is running finish, the second
    leaves at once. The rows, base.json, verdict.json, plots/ and report.html lie in results/<name of the study>.

    \b
    Examples:
      hptransfer run sweeps/quickstart.yaml
      hptransfer run my.yaml --search bracket --set grid.widths=[128,256]
      hptransfer run my.yaml --executor ray --address 10.0.0.1:6379 --results s3://bucket/results
    """
    _run(given, tune=True, check=not no_check, grid=True)


@click.command(short_help="Search base HPs on the dense proxy.")
@working
@STORAGE
def tune(**given: Any) -> None:
    """Search base HPs on the dense proxy and write base.json.

    Runs the `tune` section of the study alone: no check, no grid.

    \b
    Examples:
      hptransfer tune my.yaml
      hptransfer tune my.yaml --set tune.sampler=gp --set tune.trials=48
    """
    _run(given, tune=True)


@click.command(short_help="Run the grid with base HPs found before.")
@working
@with_grid
def fanout(**given: Any) -> None:
    """Run the grid with the base HPs of --base FILE, else of the results folder's base.json, else of the study itself.

    \b
    Examples:
      hptransfer fanout my.yaml
      hptransfer fanout my.yaml --base results/other/base.json
    """
    _run(given, grid=True)


def _run(given: dict[str, Any], **phases: bool) -> None:
    from hptransfer.drive.request import Request
    from hptransfer.drive.run import Phases, run_study

    sys.exit(run_study(Request.from_command_line(given), Phases(**phases)))
