"""Run a study end to end: settle precision, look at the first step, tune, check, fan out, judge, draw, report.

Every phase asks the store first: what is there is not run again, and a finished study starts neither Ray nor a
worker. What is still running when the driver dies is the only thing lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import click

from hptransfer.common.cache import cache_dir
from hptransfer.common.files import digest_of
from hptransfer.common.seams import OBSERVERS
from hptransfer.drive.check import check_before_tune, coordinate_check_of, print_check
from hptransfer.drive.entries import refuse_changed_sources
from hptransfer.drive.outputs import refresh_outputs
from hptransfer.drive.own_model import look_at_own_model
from hptransfer.drive.request import Request
from hptransfer.drive.settle import settled_precision, stored_base
from hptransfer.drive.tensors import store_tensors
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.runner import Interrupted, Runner
from hptransfer.store.file_names import (
    BASE_FILE,
    BRACKET_FILE,
    DIRECT_FILE,
    FAILED_FOLDER,
    REPORT_FILE,
    STUDY_FILE,
)
from hptransfer.store.folders import is_local
from hptransfer.store.store import Store
from hptransfer.study.base import TunedBase
from hptransfer.study.file import dump_study, with_overrides
from hptransfer.study.trial import Trial
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.bracket.search import BracketSearch
from hptransfer.trials.direct import direct_places, refuse_vain_direct, search_directly
from hptransfer.trials.direct import question_of as direct_question
from hptransfer.trials.grid import direct_size, refuse_large_grid, trials_of
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.proxy.proxy import refuse_vain_search
from hptransfer.trials.settled import Settled

__all__ = ["Phases", "run_study"]


@dataclass(frozen=True)
class Phases:
    """Which phases a command runs."""

    tune: bool = False
    check: bool = False
    grid: bool = False


def run_study(request: Request, phases: Phases) -> int:
    """Run `phases` of a study and write its outputs; the exit status. A Ctrl-C is 130 and says how to resume."""
    observers = [OBSERVERS.make(name) for name in dict.fromkeys(("terminal", "page", *request.observe))]
    store = Store.open(request.results, request.study.name)
    settings = _settings_here(request.settings, store)
    folder = store.uri if is_local(store.uri) else None
    launch = Launch(settings, address=request.address, workers=request.workers, folder=folder)
    runner = Runner(store, partial(make_executor, request.executor, launch), observers, request.study.name)
    try:
        with store.lock():
            passed, sentence = _run_observed(request, phases, settings, store, runner)
    except KeyboardInterrupt as stop:
        kept = "everything that finished is stored" if isinstance(stop, Interrupted) else "stopped at once"
        click.echo(f"hptransfer: {kept}; continue with: {request.command}", err=True)
        return 130
    _say_goodbye(request, store, runner, sentence, checked=passed)
    return 1 if runner.failed or not passed else 0


def _run_observed(
    request: Request, phases: Phases, settings: WorkerSettings, store: Store, runner: Runner
) -> tuple[bool, str]:
    """Whether no coordinate check failed, and the verdict's sentence if the grid ran; observers hear of every end."""
    sentence = ""
    runner.observers.started(request.study, store.uri)
    try:
        with runner:
            passed = _run_phases(request, phases, settings, store, runner)
        judged = refresh_outputs(store)
        sentence = judged if phases.grid and passed else ""
        return passed, sentence
    finally:
        runner.observers.finished(runner.counts, sentence)


def _run_phases(request: Request, phases: Phases, settings: WorkerSettings, store: Store, runner: Runner) -> bool:
    """Tune, check, fan out. False when the coordinate check failed; what follows it is then not started. One that is
    open stops nothing: a search was paid for, and chance may leave a slope open in a right model."""
    study, data_id = request.study, request.data_id
    if not request.same_numbers:
        refuse_changed_sources(study, store)
    if not phases.grid:
        refuse_vain_search(study)
    else:  # before anything is tuned for it
        if not request.yes:
            refuse_large_grid(study)
        refuse_vain_direct(Settled(study, study.base.hps, "fp32", data_id))
    look_at_own_model(Settled(study, study.base.hps, "fp32", data_id))
    precision = settled_precision(study, store, data_id, settings)
    # `fanout --set …` adds cells to a study, it does not narrow the stored one.
    if phases.tune or store.read_text(STUDY_FILE) is None:
        store.write_text(STUDY_FILE, dump_study(with_overrides(study, {"training.precision": precision})))
    if phases.tune and request.base is None and study.tune is not None:
        untuned = Settled(study, study.base.hps, precision, data_id)
        if phases.check and study.check.enabled and not _passes_before_tune(untuned, store):
            return False
        base = tune(untuned, runner, storage_url=request.storage)
        for warning in base.further.get("warnings", ()):
            click.echo(f"hptransfer: warning: {warning}", err=True)
    else:
        base, _ = stored_base(request, store)
        store.write_json(BASE_FILE, base.document())
    settled = Settled.from_base(study, base, precision, data_id)
    store_tensors(settled, store)
    if phases.check and study.check.enabled:
        report = coordinate_check_of(settled, store)
        print_check(report)
        if report.outcome == "FAIL":
            click.echo("The sweep was not started: mend the model or the rule, or add --no-check.", err=True)
            return False
        if not report.passed:
            click.echo("The sweep goes on: nothing is shown to be wrong, and the verdict will say.", err=True)
    if phases.grid:
        _run_grid(settled, base, store, runner)
        _run_direct(settled, store, runner)
    return True


def _passes_before_tune(untuned: Settled, store: Store) -> bool:
    """Whether the search may be paid for: not where a model or a rule is shown to be wrong without it."""
    report = check_before_tune(untuned, store)
    if report is None or report.outcome != "FAIL":
        return True
    print_check(report)
    click.echo("Nothing was tuned: mend the model or the rule, or add --no-check.", err=True)
    return False


def _run_grid(settled: Settled, base: TunedBase, store: Store, runner: Runner) -> None:
    trials = trials_of(settled)
    runner.expect(0)
    if settled.study.grid.search == "fixed":
        runner.run(trials, "grid")
        return
    question = question_of(settled, trials)
    if _answered(
        store, BRACKET_FILE, question
    ):  # asked again, a search would look a little further: its noise estimate has grown
        return
    search = BracketSearch(settled, tuned=base.tuned)
    runner.expect(runner.counts.planned + round(search.expected))
    found = search.run(runner)
    if not runner.failed:
        ran = {"trials": sum(cell.trials for cell in found.cells), "fixed_grid": len(trials)}
        store.write_json(BRACKET_FILE, {"question": question, **ran, **asdict(found)})


def _run_direct(settled: Settled, store: Store, runner: Runner) -> None:
    """The comparison with a search at every target, where the study asks for one."""
    places = direct_places(settled)
    if not places:
        return
    question = direct_question(settled)
    if _answered(store, DIRECT_FILE, question):
        return
    runner.expect(runner.counts.planned + direct_size(settled.study))
    cells = search_directly(settled, runner)
    if not runner.failed:
        ids = sorted({trial for cell in cells for trial in (*cell.line, *cell.transferred)})
        found = {"question": question, "trial_ids": ids, "cells": [cell.model_dump(mode="json") for cell in cells]}
        store.write_json(DIRECT_FILE, found)


def question_of(settled: Settled, trials: Sequence[Trial]) -> str:
    """16 digits that name what a bracket search is asked."""
    said = [settled.study.grid.bracket.model_dump_json(), *sorted(trial.id for trial in trials)]
    return digest_of("\n".join(said), 16)


def _answered(store: Store, name: str, question: str) -> bool:
    """Whether a search for this very question came to its end here and all its trials are still stored."""
    stored = store.read_json(name)
    return (
        isinstance(stored, dict) and stored.get("question") == question and store.ids().issuperset(stored["trial_ids"])
    )


def _settings_here(settings: WorkerSettings, store: Store) -> WorkerSettings:
    """With the folders that belong to this machine and these results."""
    local = Path(store.uri).absolute() if is_local(store.uri) else None
    try:
        cache = str(cache_dir())
    except PermissionError:  # nowhere of our own to keep programs: they are compiled anew
        cache = None
    return replace(
        settings,
        cache_dir=cache,
        checkpoint_dir=str(local / "checkpoints") if local else None,
        log_dir=str(local / "logs") if local else None,
    )


def _say_goodbye(request: Request, store: Store, runner: Runner, sentence: str, *, checked: bool) -> None:
    """The closing message: what failed, the verdict in a sentence if the grid ran, the report, what to try next."""
    if runner.failed:
        click.echo(f"{len(runner.failed)} trials failed; their logs: {store.path_of(FAILED_FOLDER)}", err=True)
    study = request.named
    if sentence:
        click.echo(sentence)
        follow_up = f"hptransfer verdict {store.uri}"
    else:
        follow_up = f"hptransfer run {study}" if checked else f"hptransfer check {study}"
    click.echo(f"Report: {store.path_of(REPORT_FILE)}")
    click.echo(f"Next:   {follow_up}    or    hptransfer explain {study}")
