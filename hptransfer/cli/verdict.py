"""`hptransfer verdict`: does the optimum stay put?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from hptransfer.cli.options import JSON, RESULTS

if TYPE_CHECKING:
    from hptransfer.analysis.results import Results
    from hptransfer.study.thresholds import VerdictSpec

__all__ = ["verdict"]


@click.command(short_help="Does the optimum stay put?")
@RESULTS
@JSON
@click.option("--delta", type=float, help="Regret allowed, relative; by default the study's, else 0.005.")
@click.option("--margin", type=float, help="Drift allowed, octaves per octave; by default the study's, else 0.1.")
@click.option("--expect", multiple=True, metavar="RULE", help="Rule that must be STABLE (repeatable).")
def verdict(results: str, as_json: bool, delta: float | None, margin: float | None, expect: tuple[str, ...]) -> None:
    """Does the optimum stay put? STABLE, DRIFT or INCONCLUSIVE for every rule, and why.

    Works on any folder of Parquet rows with the documented columns. Leaves with 0 only when every rule that is
    expected to be stable is STABLE, else with 1.

    \b
    Examples:
      hptransfer verdict results/quickstart
      hptransfer verdict results/quickstart --delta 0.01 --expect supar --json
    """
    from rich.console import Console

    from hptransfer.analysis.results import load_results
    from hptransfer.analysis.verdict import judge
    from hptransfer.cli.direct_table import direct_table
    from hptransfer.cli.verdict_table import verdict_table

    read = load_results(results)
    settings = _settings(read, delta=delta, slope_margin=margin, expect_stable=expect or None)
    judgement = judge(read.frame, settings=settings, base=read.transferred, own=read.own_base)
    if as_json:
        click.echo(judgement.to_json())
    else:
        Console().print(verdict_table(judgement))
        if direct := read.directly(settings):
            Console().print(direct_table(direct))
        for note in (*judgement.notes, *read.problems, *_circumstances(read)):
            click.echo(f"note: {note}")
        if read.study is not None and any(v.verdict == "INCONCLUSIVE" for v in judgement.verdicts):
            click.echo(f"\nFor open cells that more runs would settle the report has the command: {_report_of(read)}")
        expected = ", ".join(settings.expect_stable) or "none"
        click.echo(f"\n{'As expected' if judgement.stable else 'Not as expected'}; expected to be STABLE: {expected}.")
    sys.exit(0 if judgement.stable else 1)


def _settings(results: Results, **asked: Any) -> VerdictSpec:
    """The study's own settings with those of the command line laid over; without a study every rule is expected."""
    from hptransfer.study.refusals import validated
    from hptransfer.study.thresholds import VerdictSpec

    found = (results.study or {}).get("verdict")
    stored = dict(found) if isinstance(found, Mapping) else {}
    stored |= {key: value for key, value in asked.items() if value is not None}
    if not stored.get("expect_stable") and not results.study and "rule" in results.frame:
        stored["expect_stable"] = sorted(set(results.frame["rule"].astype(str)))
    return validated(VerdictSpec, stored)


def _report_of(results: Results) -> str:
    """Where the study's report lies, or how to write it."""
    from hptransfer.store.file_names import REPORT_FILE
    from hptransfer.store.store import Store

    store = Store.open(results.uri, create=False)
    written = store.read_text(REPORT_FILE) is not None
    return store.path_of(REPORT_FILE) if written else shlex.join(["hptransfer", "report", results.uri])


def _circumstances(results: Results) -> Iterator[str]:
    """What a reader should know of the folder itself before trusting a verdict on it."""
    from hptransfer.store.store import Store

    if results.study is None:
        yield "no study.yaml lies here: margins and expectations are the defaults"
    if holder := Store.open(results.uri, create=False).holder():
        yield f"{holder} is still running this study: more rows will come"
