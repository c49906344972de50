"""`hptransfer report`: the report of a results folder."""

from __future__ import annotations

import click

from hptransfer.cli.options import RESULTS

__all__ = ["report"]


@click.command(short_help="Write the report, one HTML file.")
@RESULTS
def report(results: str) -> None:
    """Write report.html, one file that opens from disk without a network.

    \b
    Example:
      hptransfer report results/quickstart
    """
    from hptransfer.analysis.results import load_results
    from hptransfer.report.page import render_report
    from hptransfer.store.file_names import REPORT_FILE
    from hptransfer.store.store import Store

    page = render_report(load_results(results))
    store = Store.open(results, create=False)
    store.write_text(REPORT_FILE, page)
    click.echo(store.path_of(REPORT_FILE))
