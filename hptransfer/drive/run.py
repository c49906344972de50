"""Run a study end to end: settle precision, tune, check, fan out, judge, draw, report.

Every phase asks the store first: what is there is not run again, and a finished study starts neither Ray nor a
worker. What is still running when the driver dies is the only thing lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from hptransfer.common.cache import cache_dir
from hptransfer.common.errors import InputError
from hptransfer.common.seams import OBSERVERS
from hptransfer.drive.check import check_study, print_check
from hptransfer.drive.load_study import dump_study
from hptransfer.drive.options import Options, stored_base, stored_precision
from hptransfer.drive.outputs import refresh_outputs
from hptransfer.execute.base import Executor, Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.runner import Interrupted, Runner
from hptransfer.store.file_names import BASE_FILE, BRACKET_FILE, FAILED_FOLDER, REPORT_FILE, STUDY_FILE
from hptransfer.store.folders import is_local
from hptransfer.store.store import Store
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import Precision
from hptransfer.study.study import Study
from hptransfer.training.calibrate import calibrate_precision
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.bracket.search import Searched, bracket_study, expected_trials
from hptransfer.trials.grid import grid_size, make_trial, trials_of, tuned_study, with_overrides
from hptransfer.trials.proxy import planned_trials, tune
from hptransfer.trials.proxy.space import check_tune

__all__ = ["Phases", "run_study"]


@dataclass(frozen=True)
class Phases:
    """Which phases a command runs."""

    tune: bool = False
    check: bool = False
    grid: bool = False


def run_study(options: Options, phases: Phases) -> int:
    """Run `phases` of a study and write its outputs; the exit status. A Ctrl-C is 130 and says how to resume."""
    observers = [OBSERVERS.make(name) for name in dict.fromkeys(("terminal", "page", *options.observe))]
    store = Store.open(options.results, options.study.name)
    runner = Runner(store, _executor(options, store), observers, options.study.name)
    try:
        with store.lock():
            passed, sentence = _run_observed(options, phases, store, runner)
    except KeyboardInterrupt as stop:
        kept = "everything that finished is stored" if isinstance(stop, Interrupted) else "stopped at once"
        click.echo(f"hptransfer: {kept}; continue with: {options.command}", err=True)
        return 130
    _say_goodbye(options, store, runner, sentence, checked=passed)
    return 1 if runner.failed or not passed else 0


def _run_observed(options: Options, phases: Phases, store: Store, runner: Runner) -> tuple[bool, str]:
    """Whether the coordinate check passed, and the verdict's sentence if the grid ran; observers hear of every end."""
    sentence = ""
    runner.observers.started(options.study, store.uri)
    try:
        with runner:
            passed = _run_phases(options, phases, store, runner)
        judged = refresh_outputs(store)
        sentence = judged if phases.grid and passed else ""
        return passed, sentence
    finally:
        runner.observers.finished(runner.counts, sentence)


def _run_phases(options: Options, phases: Phases, store: Store, runner: Runner) -> bool:
    """Tune, check, fan out. False when the coordinate check did not pass; the sweep is then not started."""
    if phases.grid:
        _hold_cap(options)
    else:
        check_tune(options.study)
    precision = _settle_precision(options, store)
    # `fanout --set …` adds cells to a study, it does not narrow the stored one.
    if phases.tune or store.read_text(STUDY_FILE) is None:
        store.write_text(STUDY_FILE, dump_study(with_overrides(options.study, {"training.precision": precision})))
    if phases.tune and options.base is None and options.study.tune is not None:
        runner.expect(planned_trials(options.study))
        base = tune(options.study, runner, precision=precision, data_id=options.data_id, storage_url=options.storage)
        for warning in base.get("warnings", ()):
            click.echo(f"hptransfer: warning: {warning}", err=True)
    else:
        base, _ = stored_base(options, store)
        store.write_json(BASE_FILE, base)
    study, hps = tuned_study(options.study, base)
    if phases.check and study.check.enabled:
        report = check_study(study, hps, store, options.data_id)
        print_check(report)
        if not report.passed:
            click.echo("The sweep was not started: mend the model or the rule, or add --no-check.", err=True)
            return False
    if phases.grid:
        _run_grid(options, study, hps, store, runner, precision, tuned=base.get("trials") != 0)
    return True


def _hold_cap(options: Options) -> None:
    """Refuse a grid above its cap before anything is tuned for it; what tuning finds changes no number of trials."""
    study = options.study
    trials = grid_size(study)
    if trials > study.grid.max_trials and not options.yes:
        raise InputError(
            "the grid is larger than its cap",
            where="grid",
            found=f"{trials} trials",
            allowed=f"at most {study.grid.max_trials} (grid.max_trials)",
            hint="look at `hptransfer plan`, then add --yes",
        )


def _run_grid(
    options: Options, study: Study, hps: BaseHPs, store: Store, runner: Runner, precision: Precision, *, tuned: bool
) -> None:
    trials = trials_of(study, hps, precision=precision, data_id=options.data_id)
    runner.expect(0)
    if study.grid.search == "fixed":
        runner.submit(trials, "grid")
        for _ in runner.results():
            pass
        return
    question = _digest([study.grid.bracket.model_dump_json(), *sorted(trial.id for trial in trials)])
    if _answered(store, question):  # asked again, a search would look a little further: its noise estimate has grown
        return
    expected, _ = expected_trials(study, hps, tuned=tuned)
    runner.expect(runner.counts.planned + round(expected))
    found = bracket_study(study, hps, runner, precision=precision, data_id=options.data_id, tuned=tuned)
    if not runner.failed:
        store.write_json(BRACKET_FILE, _bracket_document(found, question, len(trials)))


def _answered(store: Store, question: str) -> bool:
    """Whether a search for this very question came to its end here and all its trials are still stored."""
    stored = store.read_json(BRACKET_FILE)
    return (
        isinstance(stored, dict) and stored.get("question") == question and store.ids().issuperset(stored["trial_ids"])
    )


def _bracket_document(found: Searched, question: str, fixed: int) -> dict[str, Any]:
    return {
        "question": question,
        "trials": sum(cell.trials for cell in found.cells),
        "fixed_grid": fixed,
        "cells": [asdict(cell) for cell in found.cells],
        "trial_ids": list(found.trial_ids),
    }


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _settle_precision(options: Options, store: Store) -> Precision:
    """The precision of this results folder: as the study says, as settled before, or by a short calibration now."""
    study = options.study
    precision = stored_precision(study, store)
    if precision is None:
        widest = max(study.grid.shapes(study.base.depth), key=lambda cell: cell.width)
        trial = make_trial(
            study,
            base=study.base.hps,
            width=widest.width,
            density=1.0,
            depth=widest.depth or study.base.depth,
            rule=study.grid.rules[0],
            seed=0,
            precision="fp32",
            data_id=options.data_id,
        )
        precision = calibrate_precision(trial, _settings(options, store))
    return precision


def _executor(options: Options, store: Store) -> Callable[[], Executor]:
    folder = store.uri if is_local(store.uri) else None
    launch = Launch(_settings(options, store), address=options.address, workers=options.workers, folder=folder)
    return partial(make_executor, options.executor, launch)


def _settings(options: Options, store: Store) -> WorkerSettings:
    """Worker settings with the folders that belong to this machine and these results."""
    local = Path(store.uri).absolute() if is_local(store.uri) else None
    try:
        cache = str(cache_dir())
    except PermissionError:  # nowhere of our own to keep programs: they are compiled anew
        cache = None
    return replace(
        options.settings,
        cache_dir=cache,
        checkpoint_dir=str(local / "checkpoints") if local else None,
        log_dir=str(local / "logs") if local else None,
    )


def _say_goodbye(options: Options, store: Store, runner: Runner, sentence: str, *, checked: bool) -> None:
    """The closing message: what failed, the verdict in a sentence if the grid ran, the report, what to try next."""
    if runner.failed:
        click.echo(f"{len(runner.failed)} trials failed; their logs: {store.path_of(FAILED_FOLDER)}", err=True)
    study = options.named
    if sentence:
        click.echo(sentence)
        follow_up = f"hptransfer verdict {store.uri}"
    else:
        follow_up = f"hptransfer run {study}" if checked else f"hptransfer check {study}"
    click.echo(f"Report: {store.path_of(REPORT_FILE)}")
    click.echo(f"Next:   {follow_up}    or    hptransfer explain {study}")
