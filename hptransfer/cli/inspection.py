"""The commands that look at a study and do not train it: plan, explain, export, check.

Each takes the options of its command line and prints; the numbers come from the rooms below.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hptransfer.cli.plan_table import plan_table
from hptransfer.common.errors import InputError
from hptransfer.drive.plan import Plan, make_plan, planned_work
from hptransfer.drive.request import Request
from hptransfer.drive.settle import existing_store, settled_by
from hptransfer.scaling.explain import cautions, explain_rows, explain_text, export_text
from hptransfer.scaling.rules import known_rules
from hptransfer.store.file_names import FAILED_FOLDER
from hptransfer.store.store import Store
from hptransfer.study.pieces import parse_number
from hptransfer.study.study import Cell
from hptransfer.study.trial import Trial
from hptransfer.training.build import target_of
from hptransfer.training.calibrate import seconds_per_step
from hptransfer.training.memory import room_for_a_trial
from hptransfer.training.process import device_of, workers_here
from hptransfer.trials.checks import study_warnings, unknown_rule

__all__ = ["run_check", "show_explanation", "show_plan", "write_export"]


def show_plan(given: Mapping[str, Any]) -> None:
    """Print what `run` would do."""
    request = Request.from_command_line(given)
    plan = plan_of(request, calibrate=not given["no_calibrate"])
    if given["as_json"]:
        click.echo(json.dumps(plan.to_json(), indent=2))
    else:
        Console().print(plan_table(plan))
        for warning in plan.warnings:
            if warning not in study_warnings(request.study):  # those were told when the study was read
                click.echo(f"hptransfer: warning: {warning}", err=True)


def plan_of(request: Request, *, calibrate: bool) -> Plan:
    """The plan of a study against what its results folder holds."""
    store = existing_store(request)
    settled, base, _ = settled_by(request, store)
    study = settled.study
    searched = request.base is None and study.tune is not None
    works = planned_work(settled, tuned=searched or base.tuned, searched=searched)
    rows = store.read()[["trial_id", "phase", "status"]].to_dict("records") if store else []
    return make_plan(
        study,
        works,
        rows,
        failed=len(store.names(FAILED_FOLDER)) if store else 0,
        workers=request.workers or workers_here(request.settings),
        seconds_per_step=partial(seconds_per_step, settings=request.settings) if calibrate else None,
        room=room_for_a_trial(request.settings, device_of(request.settings)),
        warnings=study_warnings(study),
    )


def show_explanation(given: Mapping[str, Any]) -> None:
    """Print what a rule does to every tensor of a target."""
    request = Request.from_command_line(given)
    trial, source = _target_trial(request, given)
    target = target_of(trial)
    rows = explain_rows(target)
    if given["as_json"]:
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


def write_export(given: Mapping[str, Any]) -> None:
    """Write the per-tensor settings of a target for another trainer."""
    request = Request.from_command_line(given)
    trial, _ = _target_trial(request, given)
    kind = trial.sparsity.kind
    if given["form"] == "python" and kind != "random" and trial.density < 1:
        raise InputError(
            "the Python snippet draws unstructured random masks alone",
            where="sparsity.kind",
            found=kind,
            allowed="--format json or yaml, which name every tensor's density",
            hint="or call hptransfer.parametrize in the trainer",
        )
    text = export_text(explain_rows(target_of(trial)), given["form"], optimizer=trial.training.optimizer)
    if given["output"] is None:
        click.echo(text, nl=False)
        return
    try:
        Path(given["output"]).write_text(text)
    except OSError as error:
        raise InputError(f"cannot write the file: {error.strerror}", where=str(given["output"])) from None
    click.echo(f"Wrote {given['output']}.")


def _target_trial(request: Request, given: Mapping[str, Any]) -> tuple[Trial, str]:
    """The trial that stands for the asked-for target, and where its base HPs came from."""
    settled, _, source = settled_by(request, existing_store(request))
    study = settled.study
    shapes = study.grid.shapes(study.base.depth)
    density = parse_number(given["density"]) if given["density"] is not None else min(c.density for c in shapes)
    if not isinstance(density, float) or not 0 < density <= 1:
        raise InputError("a density is a share of weights", where="--density", found=given["density"], allowed="(0, 1]")
    known = (*known_rules(), *study.rules)
    if given["rule"] not in known:
        raise unknown_rule(given["rule"], "--rule", known)
    cell = Cell(
        width=given["width"] or max(c.width for c in shapes), density=density, depth=given["depth"] or study.base.depth
    )
    return settled.trial(cell, rule=given["rule"], seed=0), source


def run_check(given: Mapping[str, Any]) -> int:
    """Coordinate check of a study; 1 when it does not pass."""
    # Imported here: of the commands in this file this one alone trains and draws, and loading what that takes costs
    # the others most of a second.
    from hptransfer.analysis.results import load_results
    from hptransfer.drive.check import coordinate_check_of, print_check
    from hptransfer.report.plots import save_plots
    from hptransfer.store.folders import open_folder

    request = Request.from_command_line(given)
    store = Store.open(request.results, request.study.name)
    with store.lock():
        settled, _, _ = settled_by(request, store)
        report = coordinate_check_of(settled, store)
    if given["as_json"]:
        click.echo(json.dumps(report.document(), indent=2))
    else:
        print_check(report)
        if report.slopes:
            for path in save_plots(load_results(store.uri), open_folder(store.uri, create=False), ["check"]):
                click.echo(f"Picture: {path}")
    return 0 if report.passed else 1
