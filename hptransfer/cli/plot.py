"""`hptransfer plot`: the pictures of a results folder."""

from __future__ import annotations

from typing import get_args

import click

from hptransfer.cli.options import RESULTS
from hptransfer.common.choices import PictureFormat

__all__ = ["plot"]


@click.command(short_help="Draw the pictures of a results folder.")
@RESULTS
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these pictures (repeatable).")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(get_args(PictureFormat)),
    default=("png", "svg"),
    show_default=True,
    help="File formats.",
)
def plot(results: str, kinds: tuple[str, ...], formats: tuple[str, ...]) -> None:
    """Draw the pictures of a results folder into its plots/.

    Kinds: lr, stability, regret, sparsity, params, check, init, tuning, cost; by default all that there is something
    to show of.

    \b
    Examples:
      hptransfer plot results/quickstart
      hptransfer plot results/quickstart --kind lr --format svg
    """
    from hptransfer.analysis.results import load_results
    from hptransfer.report.plots import save_plots
    from hptransfer.store.folders import open_folder

    written = save_plots(load_results(results), open_folder(results, create=False), kinds or None, formats)
    for path in written:
        click.echo(path)
    if not written:
        click.echo("There is nothing to draw yet.", err=True)
