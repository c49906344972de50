"""The commands that read a results folder: verdict, plot, report, status.

Each takes the options of its command line and prints; the numbers come from the rooms below. Drawing is
imported where it is asked for, so that a verdict or a status waits for neither matplotlib nor torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console

from hptransfer.analysis.results import Results, load_results
from hptransfer.analysis.verdict import judge
from hptransfer.cli.verdict_table import verdict_table
from hptransfer.common.errors import InputError
from hptransfer.store.file_names import FAILED_FOLDER, REPORT_FILE, RUNNING_FILE, STUDY_FILE
from hptransfer.store.folders import open_folder
from hptransfer.store.results import where_results_are
from hptransfer.store.store import Store
from hptransfer.study.refusals import first_refusal
from hptransfer.study.study import VerdictSpec

__all__ = ["draw_plots", "show_status", "show_verdict", "write_report"]


def show_verdict(given: Mapping[str, Any]) -> int:
    """Print the verdicts of a results folder; 0 only when every rule expected to be stable is STABLE."""
    results = load_results(given["results"])
    settings = _verdict_settings(results, given)
    judgement = judge(results.frame, settings=settings, base=results.transferred)
    if given["as_json"]:
        click.echo(judgement.to_json())
    else:
        console = Console()
        console.print(verdict_table(judgement))
        for note in (*judgement.notes, *results.problems, *_circumstances(results)):
            click.echo(f"note: {note}")
        expected = ", ".join(settings.expect_stable) or "none"
        click.echo(f"\n{'As expected' if judgement.stable else 'Not as expected'}; expected to be STABLE: {expected}.")
    return 0 if judgement.stable else 1


def _circumstances(results: Results) -> Iterator[str]:
    """What a reader should know of the folder itself before trusting a verdict on it."""
    if results.study is None:
        yield "no study.yaml lies here: margins and expectations are the defaults"
    if holder := Store.open(results.uri, create=False).holder():
        yield f"{holder} is still running this study: more rows will come"


def _verdict_settings(results: Results, given: Mapping[str, Any]) -> VerdictSpec:
    """The study's own settings with those of the command line laid over."""
    found = (results.study or {}).get("verdict")
    stored = dict(found) if isinstance(found, Mapping) else {}
    asked = {"delta": given["delta"], "slope_margin": given["margin"], "expect_stable": list(given["expect"]) or None}
    stored |= {key: value for key, value in asked.items() if value is not None}
    if not stored.get("expect_stable") and not results.study and "rule" in results.frame:
        stored["expect_stable"] = sorted(set(results.frame["rule"].astype(str)))
    try:
        return VerdictSpec.model_validate(stored)
    except ValidationError as error:
        raise first_refusal(error, VerdictSpec) from None


def draw_plots(given: Mapping[str, Any]) -> None:
    """Draw the pictures of a results folder into its plots/."""
    from hptransfer.report.plots import save_plots

    folder = open_folder(given["results"], create=False)
    written = save_plots(load_results(given["results"]), folder, list(given["kinds"]) or None, given["formats"])
    for path in written:
        click.echo(path)
    if not written:
        click.echo("There is nothing to draw yet.", err=True)


def write_report(given: Mapping[str, Any]) -> None:
    """Write report.html of a results folder."""
    from hptransfer.report.page import render_report

    results = load_results(given["results"])
    store = Store.open(given["results"], create=False)
    store.write_text(REPORT_FILE, render_report(results))
    click.echo(store.path_of(REPORT_FILE))


def show_status(given: Mapping[str, Any]) -> None:
    """Count planned, stored, diverged, failed and in-flight trials of a results folder."""
    store = Store.open(given["results"], create=False)
    rows = store.table()
    noted = store.read_json(RUNNING_FILE) or {}
    holder = store.holder()
    stored = rows.num_rows
    failed = len(store.names(FAILED_FOLDER))
    if not (stored or failed or noted or holder or store.read_text(STUDY_FILE)):
        raise InputError("holds no study", where=store.uri, hint=where_results_are(store.uri))
    counts = {
        "planned": max(int(noted.get("planned", 0)), stored + failed),
        "stored": stored,
        "diverged": rows.column("status").to_pylist().count("diverged"),
        "failed": failed,
        "in_flight": int(noted.get("in_flight", 0)) if holder else 0,
        "running": bool(holder),
    }
    if given["as_json"]:
        click.echo(json.dumps(counts, indent=2))
        return
    for name, value in counts.items():
        click.echo(f"{name:>9}  {value}")
    if holder:
        click.echo(f"  running  by {holder}, last news {noted.get('updated', 'unknown')}")
