"""The coordinate check of a study: which cells it looks at, what it found, kept so that it runs once.

The check itself is `hptransfer.scaling.check.measure`. Here a study says what to check: the rules expected to be
stable, over the widths and densities of its grid, on one small batch of its own data. It guards a sweep: a rule
whose activations already drift in ten steps will not have a stable optimum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from hptransfer.common.files import digest_of
from hptransfer.common.seams import TASKS, is_outside
from hptransfer.drive.request import Request
from hptransfer.drive.settle import settled_by
from hptransfer.scaling.check.judge import Axis, judge_check
from hptransfer.scaling.check.measure import CheckSettings, coordinate_check
from hptransfer.scaling.rules import Rule
from hptransfer.store.file_names import CHECK_FILE, CHECK_FRAME_FILE
from hptransfer.store.store import Store
from hptransfer.study.axes import FEW_NONZEROS
from hptransfer.study.study import Cell, Study
from hptransfer.study.trial import NUMERICS_VERSION, drop_since
from hptransfer.tasks.base import loss_of
from hptransfer.training.ask_task import batch_at, data_of
from hptransfer.training.build import factory_of
from hptransfer.trials.settled import Settled

__all__ = ["CheckReport", "check_digest", "check_study", "coordinate_check_of", "print_check", "scope_of"]

WIDEST = 1024
"""Wider cells are left out by default: the check is plain eager CPU work, and three widths show a slope."""

BATCH, LENGTH = 4, 64
"""The one repeated batch, as in figure 5 (batch 4); longer sequences show nothing more."""


@dataclass(frozen=True)
class CheckReport:
    """What the check came to. `slopes`: a dict per judged slope, the keys those of `judge_check`'s table and `axis`."""

    passed: bool
    sentences: tuple[str, ...]
    slopes: tuple[dict[str, Any], ...]
    digest: str = ""

    def document(self) -> dict[str, Any]:
        """As check.json holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Scope:
    """The widths, densities and rules a check looks at."""

    widths: tuple[int, ...]
    densities: tuple[float, ...]
    rules: tuple[Rule, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes with at least two points."""
        named: tuple[tuple[Axis, int], ...] = (("density", len(self.densities)), ("width", len(self.widths)))
        return tuple(axis for axis, points in named if points > 1)


def scope_of(settled: Settled) -> Scope:
    """What the study's check covers: what it names, else what of its grid the theory speaks of."""
    study, cells = settled.study, settled.study.cells
    check, expected = study.check, study.verdict.stable_rules
    widths = check.widths or {c.width for c in cells if c.width <= WIDEST} or [study.base.width * k for k in (1, 2, 4)]
    sparse = {c.density for c in cells if min(widths) * c.density >= FEW_NONZEROS}
    densities = check.densities or tuple(sorted(sparse, reverse=True)) or (1.0,)
    rules = check.rules or [name for name in study.grid.rules if name in expected]
    return Scope(tuple(sorted(widths)), densities, tuple(map(settled.rule, rules)))


def check_study(request: Request) -> CheckReport:
    """The coordinate check by itself, kept in the study's results folder."""
    store = Store.open(request.results, request.study.name)
    with store.lock():
        settled, _, _ = settled_by(request, store)
        return coordinate_check_of(settled, store)


def coordinate_check_of(settled: Settled, store: Store) -> CheckReport:
    """Check a study, or hand back what its store says of this very check. Writes check.json and check.parquet."""
    scope = scope_of(settled)
    digest = check_digest(settled, scope)
    stored = store.read_json(CHECK_FILE)
    if isinstance(stored, Mapping) and stored.get("digest") == digest:
        return CheckReport(bool(stored["passed"]), tuple(stored["sentences"]), tuple(stored["slopes"]), digest)
    if nothing := _nothing_to_check(settled.study, scope):
        return CheckReport(True, (nothing,), (), digest)
    frame = _run_each(settled, scope)
    report = _judge(frame, settled.study, scope, digest)
    store.write_frame(CHECK_FRAME_FILE, frame)
    store.write_json(CHECK_FILE, report.document())
    return report


def _nothing_to_check(study: Study, scope: Scope) -> str:
    if is_outside(study.trainer):
        return f"the trainer {study.trainer} trains in a way of its own, so no coordinate check was run"
    if not scope.rules:
        return "no rule is expected to be stable, so no coordinate check was run"
    return "" if scope.axes else "the coordinate check has nothing to compare: one width and one density"


def _run_each(settled: Settled, scope: Scope) -> pd.DataFrame:
    """The check of every rule, at the settings that `grid.by_rule` gives it."""
    if not settled.study.grid.by_rule:
        return _run(settled, scope)
    each = [_run(settled.of_rule(rule.name), replace(scope, rules=(rule,))) for rule in scope.rules]
    return pd.concat(each, ignore_index=True)


def _run(settled: Settled, scope: Scope) -> pd.DataFrame:
    torch.set_num_threads(1)  # small matrices: a second thread gains little and stalls when anything else runs
    study, base, training = settled.study, settled.hps, settled.study.training
    trial = settled.trial(Cell(study.base.width, 1.0, study.base.depth), rule=scope.rules[0].name, seed=0)
    small = {"batch_size": BATCH, "sequence_length": min(LENGTH, training.sequence_length)}
    return coordinate_check(
        factory_of(trial),
        batch_at(trial.model_copy(update={"training": training.model_copy(update=small)}), data_of(trial), 0, 0),
        widths=scope.widths,
        densities=scope.densities,
        rules=scope.rules,
        settings=CheckSettings(
            base_width=study.base.width,
            depth=study.base.depth,
            base_depth=study.base.depth,
            base=base.model_copy(update={"lr": study.check.lr or base.lr}),
            steps=study.check.steps,
            seeds=study.check.seeds,
            training=training,
            sparsity=study.sparsity,
            roles=study.model.roles,
        ),
        loss=loss_of(TASKS.get(study.task)),
    )


def _judge(frame: pd.DataFrame, study: Study, scope: Scope, digest: str) -> CheckReport:
    """Every axis judged; the check passes when the rules expected to be stable pass on each."""
    sentences: list[str] = []
    slopes: list[dict[str, Any]] = []
    passed = True
    for axis in scope.axes:
        verdict = judge_check(
            frame, axis=axis, first_tolerance=study.check.first_tolerance, last_tolerance=study.check.last_tolerance
        )
        sentences.append(verdict.sentence)
        judged = verdict.slopes[verdict.slopes["tolerance"].notna()]
        slopes += [{"axis": axis, **row} for row in json.loads(judged.to_json(orient="records"))]
        passed &= all(ok for rule, ok in verdict.by_rule.items() if rule in study.verdict.stable_rules)
    return CheckReport(passed, tuple(sentences), tuple(slopes), digest)


def check_digest(settled: Settled, scope: Scope) -> str:
    """16 digits of what decides the outcome of a check, and of nothing else."""
    study = settled.study
    parts = {"task", "model", "training", "sparsity", "check", "base"}
    what = [
        drop_since(study.model_dump(mode="json", include=parts)),
        settled.hps.model_dump(),
        [scope.widths, scope.densities, [rule.digest() for rule in scope.rules]],
        [settled.data_id, NUMERICS_VERSION, sorted(study.verdict.expect_stable)],
        *filter(None, [settled.versions, study.grid.by_rule]),
    ]
    return digest_of(json.dumps(what, sort_keys=True), 16)


def print_check(report: CheckReport) -> None:
    """The sentences, and where a slope is beyond its tolerance the slopes."""
    for sentence in report.sentences:
        click.echo(f"Coordinate check: {sentence}")
    if report.passed:
        return
    table = Table("axis", "rule", "module", "kind", "step", "slope", "95% interval", "allowed", box=None)
    for row in report.slopes:
        if not row["passed"]:
            interval = f"{_number(row['slope_low'])} … {_number(row['slope_high'])}"
            cells = [row[k] for k in ("axis", "rule", "module", "kind")]
            table.add_row(*cells, str(row["step"]), _number(row["slope"]), interval, f"{row['tolerance']:g}")
    Console(stderr=True).print(table)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:+.3f}"
