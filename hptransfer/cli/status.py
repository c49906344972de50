"""`hptransfer status`: how far a study is."""

from __future__ import annotations

import json

import click

from hptransfer.cli.options import JSON, RESULTS

__all__ = ["status"]


@click.command(short_help="Count planned, stored, diverged, failed trials.")
@RESULTS
@JSON
def status(results: str, as_json: bool) -> None:
    """Count planned, stored, diverged, failed and in-flight trials of a results folder, also while it runs.

    \b
    Examples:
      hptransfer status results/quickstart
      hptransfer status results/quickstart --json
    """
    from hptransfer.drive.status import status_of

    found = status_of(results)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    for name, value in found.to_json().items():
        click.echo(f"{name:>9}  {value}")
    if found.holder:
        click.echo(f"  running  by {found.holder}, last news {found.updated}")
