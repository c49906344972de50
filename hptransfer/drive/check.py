"""The coordinate check of a study: which cells it looks at, what it found, kept so that it runs once.

The check itself is `hptransfer.scaling.check.measure`. Here a study says what to check: the rules expected to be
stable, over the widths and densities of its grid, on one small batch of its own data. It guards a sweep: a rule
whose activations already drift in ten steps will not have a stable optimum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import click
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from hptransfer.common.files import digest_of
from hptransfer.common.json_values import plain
from hptransfer.common.seams import TASKS, is_outside, source_digest
from hptransfer.drive.entries import own_entries
from hptransfer.drive.own_model import look_at_own_model
from hptransfer.drive.request import Request
from hptransfer.drive.settle import settled_by
from hptransfer.scaling.check.allowed import Allowed
from hptransfer.scaling.check.decide import check_until_decided
from hptransfer.scaling.check.judge import Axis, CheckVerdict, Outcome, judge_check, with_enough_weights
from hptransfer.scaling.check.measure import CheckSettings, coordinate_check
from hptransfer.scaling.rules import Rule
from hptransfer.store.file_names import CHECK_BEFORE_TUNE_FILE, CHECK_FILE, CHECK_FRAME_FILE
from hptransfer.store.store import Store
from hptransfer.study.axes import FEW_NONZEROS
from hptransfer.study.study import Cell, Study
from hptransfer.study.trial import NUMERICS_VERSION, drop_since, model_marks
from hptransfer.tasks.base import loss_of
from hptransfer.training.ask_task import batch_at, data_of
from hptransfer.training.build import factory_of
from hptransfer.trials.settled import Settled

__all__ = [
    "CheckReport",
    "check_before_tune",
    "check_digest",
    "check_study",
    "coordinate_check_of",
    "print_check",
    "scope_of",
]

WIDEST = 1024
"""Wider cells are left out by default: the check is plain eager CPU work, and three widths show a slope."""

BATCH, LENGTH = 4, 64
"""The one repeated batch, as in figure 5 (batch 4); longer sequences show nothing more."""

DECIDES_BY = "equivalence; what does not grow may shrink; scores; of a little of the step"
"""Part of a check's digest: an answer of another way to decide is not handed back as one of this."""


@dataclass(frozen=True)
class CheckReport:
    """What the check came to.

    `slopes`: a dict per judged slope, the keys those of `judge_check`'s table and `axis`. `caught`: a dict per axis and
    rule that passed: axis, rule, seeds, lr and init_std, the smallest errors of exponents that it would have caught.
    """

    outcome: Outcome
    sentences: tuple[str, ...]
    slopes: tuple[dict[str, Any], ...] = ()
    caught: tuple[dict[str, Any], ...] = ()
    digest: str = ""

    @property
    def passed(self) -> bool:
        """INCONCLUSIVE is no pass."""
        return self.outcome == "PASS"

    def document(self) -> dict[str, Any]:
        """As check.json holds it."""
        return {"passed": self.passed, **asdict(self)}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> CheckReport:
        """From what `document` gives."""
        said, slopes, caught = (tuple(stored[key]) for key in ("sentences", "slopes", "caught"))
        return cls(stored["outcome"], said, slopes, caught, stored["digest"])


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

    @property
    def cells(self) -> dict[int, tuple[float, ...]]:
        """The densities of each width, without those that no axis would judge: too few weights per neuron."""
        every = pd.DataFrame(product(self.widths, self.densities), columns=["width", "density"])
        judged = pd.concat(with_enough_weights(every, axis, FEW_NONZEROS)[0] for axis in self.axes).drop_duplicates()
        return {
            width: tuple(
                float(d) for d in self.densities if ((judged["width"] == width) & (judged["density"] == d)).any()
            )
            for width in self.widths
            if (judged["width"] == width).any()
        }


def scope_of(settled: Settled) -> Scope:
    """What the study's check covers: what it names, else what of its grid the theory speaks of."""
    study, cells = settled.study, settled.study.cells
    check, expected = study.check, study.verdict.stable_rules
    widths = check.widths or {c.width for c in cells if c.width <= WIDEST} or [study.base.width * k for k in (1, 2, 4)]
    sparse = {c.density for c in cells if max(widths) * c.density >= FEW_NONZEROS}
    densities = check.densities or tuple(sorted(sparse, reverse=True)) or (1.0,)
    rules = check.rules or [name for name in study.grid.rules if name in expected]
    return Scope(tuple(sorted(widths)), densities, tuple(map(settled.rule, rules)))


def check_study(request: Request) -> CheckReport:
    """The coordinate check by itself, kept in the study's results folder."""
    store = Store.open(request.results, request.study.name)
    with store.lock():
        settled, _, _ = settled_by(request, store)
        look_at_own_model(settled)
        return coordinate_check_of(settled, store)


def coordinate_check_of(settled: Settled, store: Store) -> CheckReport:
    """Check a study, or hand back what its store says of this very check. Writes check.json and check.parquet."""
    scope = scope_of(settled)
    digest = check_digest(settled, scope)
    if stored := _stored_report(store, CHECK_FILE, digest):
        return stored
    if nothing := _nothing_to_check(settled.study, scope):
        return CheckReport("PASS", (nothing,), digest=digest)
    frame, report = _run(settled, scope, digest)
    store.write_frame(CHECK_FRAME_FILE, frame)
    store.write_json(CHECK_FILE, report.document())
    return report


def check_before_tune(settled: Settled, store: Store) -> CheckReport | None:
    """The first step of the check alone, at base HPs that are still to be tuned; None where nothing can be looked at.

    What the first step shows hangs on exponents and hardly on the LR, so it is known before a search is paid for. The
    later steps are not looked at: an LR that was not tuned may break a model that is right. Nor are seeds added: what
    is open stays so until the check at the tuned base HPs. Kept, so that it runs once; only a failure is also the
    study's check, for the report to show.
    """
    scope = scope_of(settled)
    whole = check_digest(settled, scope)
    if (passed := _stored_report(store, CHECK_FILE, whole)) and passed.passed:
        return passed  # `hptransfer check` saw all of it at these base HPs
    digest = digest_of(f"the first step of {whole}", 16)
    if stored := _stored_report(store, CHECK_BEFORE_TUNE_FILE, digest):
        return stored
    if _nothing_to_check(settled.study, scope):
        return None
    torch.set_num_threads(1)
    frame = _measured_each(settled, scope, scope.rules, settled.study.check.seeds, 1)
    frame = frame[frame["step"] == 0]
    report = _report([judge_axis(frame, settled.study, axis, 1) for axis in scope.axes], settled.study, digest)
    store.write_json(CHECK_BEFORE_TUNE_FILE, report.document())
    if report.outcome == "FAIL":
        store.write_frame(CHECK_FRAME_FILE, frame)
        store.write_json(CHECK_FILE, report.document())
    return report


def _stored_report(store: Store, name: str, digest: str) -> CheckReport | None:
    """What the store holds under this name, where it answers this very check."""
    stored = store.read_json(name)
    return CheckReport.read(stored) if isinstance(stored, Mapping) and stored.get("digest") == digest else None


def _nothing_to_check(study: Study, scope: Scope) -> str:
    if is_outside(study.trainer):
        return f"the trainer {study.trainer} trains in a way of its own, so no coordinate check was run"
    if not scope.rules:
        return "no rule is expected to be stable, so no coordinate check was run"
    return "" if scope.axes else "the coordinate check has nothing to compare: one width and one density"


def _run(settled: Settled, scope: Scope, digest: str) -> tuple[pd.DataFrame, CheckReport]:
    """The rows of as many seeds as the decision takes, and what they came to."""
    torch.set_num_threads(1)  # small matrices: a second thread gains little and stalls when anything else runs
    check, rules = settled.study.check, {rule.name: rule for rule in scope.rules}

    def measure(names: Sequence[str], seeds: Sequence[int], steps: int) -> pd.DataFrame:
        cells = sum(map(len, scope.cells.values()))
        click.echo(f"Coordinate check: {', '.join(names)} at {cells} cells, {len(seeds)} seeds …", err=True)
        return _measured_each(settled, scope, [rules[name] for name in names], seeds, steps)

    frame, verdicts = check_until_decided(
        measure,
        lambda frame, looks: [judge_axis(frame, settled.study, axis, looks) for axis in scope.axes],
        rules=list(rules),
        seeds=check.seeds,
        most=check.max_seeds,
        steps=check.steps,
    )
    return frame, _report(verdicts, settled.study, digest)


def _measured_each(
    settled: Settled, scope: Scope, rules: Sequence[Rule], seeds: Sequence[int], steps: int
) -> pd.DataFrame:
    """The rows of every rule, at the settings that `grid.by_rule` gives it."""
    if not settled.study.grid.by_rule:
        return _measured(settled, scope, rules, seeds, steps)
    each = [_measured(settled.of_rule(rule.name), scope, [rule], seeds, steps) for rule in rules]
    return pd.concat(each, ignore_index=True)


def _measured(settled: Settled, scope: Scope, rules: Sequence[Rule], seeds: Sequence[int], steps: int) -> pd.DataFrame:
    study, base, training = settled.study, settled.hps, settled.study.training
    trial = settled.trial(Cell(study.base.width, 1.0, study.base.depth), rule=rules[0].name, seed=0)
    small = {"batch_size": BATCH, "sequence_length": min(LENGTH, training.sequence_length)}
    batch = batch_at(trial.model_copy(update={"training": training.model_copy(update=small)}), data_of(trial), 0, 0)
    build, loss = factory_of(trial), loss_of(TASKS.get(study.task))
    settings = CheckSettings(
        base_width=study.base.width,
        depth=study.base.depth,
        base_depth=study.base.depth,
        base=base.model_copy(update={"lr": study.check.lr or base.lr}),
        steps=steps,
        seeds=tuple(seeds),
        training=training,
        sparsity=study.sparsity,
        roles=study.model.roles,
        init=study.model.init,
        queries=study.model.queries,
        sample=TASKS.get(study.task).inputs(batch),
    )
    parts = [
        coordinate_check(build, batch, widths=(w,), densities=some, rules=rules, settings=settings, loss=loss)
        for w, some in scope.cells.items()
    ]
    return pd.concat(parts, ignore_index=True)


def judge_axis(frame: pd.DataFrame, study: Study, axis: Axis, looks: int) -> CheckVerdict:
    """One axis judged as the study says."""
    return judge_check(
        frame,
        axis=axis,
        first_tolerance=study.check.first_tolerance,
        update_tolerance=study.check.update_tolerance,
        last_tolerance=study.check.last_tolerance,
        looks=looks,
    )


def _report(verdicts: Sequence[CheckVerdict], study: Study, digest: str) -> CheckReport:
    """The check passes when the rules expected to be stable pass on each axis; it fails when one fails on one."""
    asked = {
        verdict.by_rule[rule] for verdict in verdicts for rule in verdict.by_rule if rule in study.verdict.stable_rules
    }
    outcome: Outcome = "FAIL" if "FAIL" in asked else "INCONCLUSIVE" if "INCONCLUSIVE" in asked else "PASS"
    slopes: list[Any] = []
    caught: list[Any] = []
    for verdict in verdicts:
        judged = verdict.slopes[verdict.slopes["allowed_high"].notna()]
        slopes += [{"axis": verdict.axis, **row} for row in json.loads(judged.to_json(orient="records"))]
        seeds = judged.groupby("rule")["seeds"].max()
        caught += [
            plain({"axis": verdict.axis, "rule": rule, "seeds": int(seeds[rule]), **asdict(found)})
            for rule, found in verdict.caught.items()
            if verdict.by_rule[rule] == "PASS"
        ]
    return CheckReport(outcome, tuple(v.sentence for v in verdicts), tuple(slopes), tuple(caught), digest)


def check_digest(settled: Settled, scope: Scope) -> str:
    """16 digits of what decides the outcome of a check, and of nothing else."""
    study = settled.study
    parts = {"task", "model", "training", "sparsity", "check", "base"}
    what = [
        drop_since(study.model_dump(mode="json", include=parts)),
        drop_since({"base": settled.hps.model_dump()})["base"],
        [scope.widths, scope.densities, [rule.digest() for rule in scope.rules]],
        [settled.data_id, NUMERICS_VERSION, sorted(study.verdict.expect_stable), DECIDES_BY],
        *filter(None, [settled.versions, study.grid.by_rule, model_marks(study.model)]),
        # Even of an entry with a version: a model that was just mended is to be looked at, not what it was.
        {name: source_digest(name) for name in own_entries(study)},
    ]
    return digest_of(json.dumps(what, sort_keys=True), 16)


def print_check(report: CheckReport) -> None:
    """The sentences, and the slopes that are not shown to be within their tolerance. No name is cut."""
    for sentence in report.sentences:
        click.echo(f"Coordinate check: {sentence}")
    if report.passed:
        return
    table = Table(box=None)
    for name in ("axis", "rule", "module", "kind", "step", "slope", "interval", "allowed", "found"):
        table.add_column(name, no_wrap=True)
    for row in report.slopes:
        if not row["passed"]:
            allowed = Allowed.of(row)
            slope, low, high = (_number(row[name], allowed) for name in ("slope", "slope_low", "slope_high"))
            cells = [row[k] for k in ("axis", "rule", "module", "kind")]
            table.add_row(*cells, str(row["step"]), slope, f"{low} … {high}", str(allowed), row["outcome"])
    console = Console(stderr=True)
    console.width = max(console.width, Console(width=10_000).measure(table).maximum)  # cuts nothing
    console.print(table)
    click.echo(_what_to_do(report), err=True)


def _what_to_do(report: CheckReport) -> str:
    """A line on what a check that did not pass asks for."""
    if report.outcome == "INCONCLUSIVE":
        return "To decide it: widths further apart (check.widths), or more seeds (check.max_seeds)."
    steps = [row["step"] for row in report.slopes if row["outcome"] == "FAIL"]
    if min(steps, default=0) > 0:
        return (
            "At the first step nothing is shown to be wrong, at the last it is: an LR too high for this model looks the"
            " same as an error. A lower one, for the check alone: check.lr."
        )
    return (
        "What to look for first: docs/mend-a-model.md, or `hptransfer explain` for what each tensor is taken for. A"
        " slope a little beyond may be sums of few terms: compare wider models (check.widths)."
    )


def _number(value: float | None, allowed: Allowed) -> str:
    return "not finite" if value is None else allowed.number(value)
