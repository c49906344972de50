"""`hptransfer check`: the coordinate check by itself."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from hptransfer.cli.options import JSON, asking

__all__ = ["check"]


@click.command(short_help="Coordinate check: do activations keep their size?")
@asking
@JSON
def check(as_json: bool, **given: Any) -> None:
    """Coordinate check: do activations, gradients and updates keep their size over width and density?

    Prints what passed and the slopes that did not, draws the picture, and leaves with 1 when a rule that should be
    stable is not. `run` does the same before its sweep. Minutes, not hours: a few steps on one small batch.

    \b
    Example:
      hptransfer check sweeps/quickstart.yaml
    """
    from hptransfer.analysis.results import load_results
    from hptransfer.drive.check import check_study, print_check
    from hptransfer.drive.request import Request
    from hptransfer.report.plots import save_plots
    from hptransfer.store.folders import open_folder

    request = Request.from_command_line(given)
    found = check_study(request)
    if as_json:
        click.echo(json.dumps(found.document(), indent=2))
    else:
        print_check(found)
        if found.slopes:
            folder = open_folder(request.results, create=False)
            for path in save_plots(load_results(request.results), folder, ["check"]):
                click.echo(f"Picture: {path}")
    sys.exit(0 if found.passed else 1)
