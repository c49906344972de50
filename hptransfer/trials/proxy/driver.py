"""Tune a study's base hyperparameters on the dense proxy: search, run finalists again, write `base.json`.

Nothing but the store remembers a search. Proposals are a function of the study and of the losses told, so a search
that was killed asks for the same trials again and finds the finished ones stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pandas as pd

from hptransfer import __version__
from hptransfer.common.seams import TRAINERS
from hptransfer.execute.pruning import PastRun
from hptransfer.store.file_names import BASE_FILE, HISTORY_FILE
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import Precision
from hptransfer.study.study import Range, Study
from hptransfer.trials.grid import make_trial
from hptransfer.trials.proxy.finalists import Finalist, run_finalists
from hptransfer.trials.proxy.mirror import Mirror, importances
from hptransfer.trials.proxy.samplers import Search
from hptransfer.trials.proxy.space import HPs, Setting, check_tune, seed_offset, tune_warnings
from hptransfer.trials.proxy.summary import basin, edge_warnings, fitted_optimum, history
from hptransfer.trials.proxy.telescope import Level, telescope
from hptransfer.trials.proxy.tried import RunsTrials, Tried, ceiling, diverged_everywhere, run_points, spent_flops

__all__ = ["TuneRunner", "search_digest", "tune", "untuned_base"]


class KeepsFiles(Protocol):
    """What the search needs of a store."""

    def ids(self) -> set[str]:
        """Ids of the stored trials."""

    def read_json(self, name: str) -> Any:
        """A JSON document, or None when there is none."""

    def read_curves(self) -> pd.DataFrame:
        """Every stored point of every learning curve."""

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON document, whole or not at all."""


class TuneRunner(RunsTrials, Protocol):
    """What the search needs of a runner."""

    @property
    def store(self) -> KeepsFiles:
        """Where base.json goes."""


@dataclass(frozen=True)
class Searched:
    """What a strategy hands over: every run, the width the winner is chosen at, and a point worth a second look."""

    tried: tuple[Tried, ...]
    width: int
    levels: tuple[Level, ...] = ()

    def candidates(self, space: Mapping[str, Range]) -> tuple[list[HPs], HPs | None]:
        """Points that trained at the last width, best first, each once, with the fitted minimum in second place; and
        that minimum, None where there is no fit.

        The best single run is partly luck and the tried points only bracket the optimum; a local quadratic through the
        runs near the best averages over both. It has to hold its own on fresh seeds like every finalist.
        """
        ended = sorted(
            (t for t in self.tried if t.status == "ok" and t.trial.width == self.width),
            key=lambda t: (t.loss, t.number),
        )
        points = [t.hps for t in ended]
        fitted = fitted_optimum(ended, space)[1] if ended else None
        if fitted is not None:
            points.insert(1, fitted)
        return list({tuple(hps.values()): hps for hps in points}.values()), fitted


def untuned_base(study: Study) -> dict[str, Any]:
    """The content of base.json for a study that tunes nothing: its own base HPs, nothing spent, loss unknown."""
    return {
        **study.base.hps.model_dump(),
        "loss": None,
        "loss_spread": None,
        "flat_low": None,
        "flat_high": None,
        "curvature": None,
        "trials": 0,
        "flops": 0.0,
        "warnings": [],
    }


def tune(
    study: Study,
    runner: TuneRunner,
    *,
    precision: Precision,
    data_id: str,
    storage_url: str | None = None,
) -> dict[str, Any]:
    """Search, choose the winner on fresh seeds, write base.json (and tune.json, every run in order); hand back base.

    A search that base.json already holds, all its runs stored, is not replayed (a GP replay takes seconds a trial).
    `storage_url` also copies every run into that Optuna storage. Raises InputError for a search that cannot mean
    anything and WorkError when no proxy trial, or no finalist, reaches its end.
    """
    spec = check_tune(study)
    setting = Setting(study, precision, data_id)
    digest = search_digest(study, precision, data_id)
    if storage_url is None and (finished := _finished(runner.store, digest)) is not None:
        return finished
    worst = ceiling(study)
    mirror = Mirror(storage_url, study.name, digest, setting.space) if storage_url else None
    seed = seed_offset(study) + spec.seed * (1 + spec.finalist_seeds)
    if spec.strategy == "telescope":
        searched = _by_telescope(setting, runner, seed, worst, mirror)
    else:
        searched = _by_optuna(setting, runner, seed, worst, mirror)
    candidates, fitted = searched.candidates(setting.space)
    if not candidates:
        raise diverged_everywhere(searched.tried)
    finalists = run_finalists(
        setting, runner, candidates, fitted=fitted, first_seed=seed + 1, worst=worst, width=searched.width
    )
    if mirror:
        for finalist in finalists:
            mirror.add(finalist.runs, prefix="finalist")
    base = _base_of(setting, searched, finalists) | {"provenance": _provenance(setting, searched.tried, digest)}
    runner.store.write_json(HISTORY_FILE, history(searched.tried, finalists))
    runner.store.write_json(BASE_FILE, base)
    return base


def search_digest(study: Study, precision: Precision, data_id: str) -> str:
    """Twelve hexadecimal digits of what decides the search's proposals and losses, and of nothing else."""
    parts = ("model", "training", "base", "tune", "rules")
    what = [study.model_dump(mode="json", include=set(parts)), seed_offset(study), precision, data_id]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def _finished(store: KeepsFiles, digest: str) -> dict[str, Any] | None:
    """The base.json of this very search, written by this version, with every run it names still stored."""
    base, runs = store.read_json(BASE_FILE), store.read_json(HISTORY_FILE)
    if not isinstance(base, dict) or not isinstance(runs, list):
        return None
    made_by = base.get("provenance") or {}
    if made_by.get("search_digest") != digest or made_by.get("written_by") != __version__ or base.get("failed"):
        return None
    return base if {run["trial_id"] for run in runs} <= store.ids() else None


def _by_optuna(setting: Setting, runner: TuneRunner, seed: int, worst: float, mirror: Mirror | None) -> Searched:
    spec = setting.tune
    search = Search(spec)
    pruner = None if spec.pruner == "none" else spec.pruner
    tried: list[Tried] = []
    past: list[PastRun] = []
    while len(tried) < search.planned:
        points = search.ask(min(spec.batch, search.planned - len(tried)))
        batch = run_points(setting, runner, points, seed=seed, worst=worst, pruner=pruner, past=past)
        rungs = _rungs(runner.store, batch) if pruner else {}
        for one in batch:
            past.append(PastRun(rungs=rungs.get(one.trial.id, ()), told=one.told))
            search.tell(one.number, past[-1])
        # (a pruned run whose curve was lost with its part keeps the steps of its row)
        batch = [
            replace(t, steps=rungs[t.trial.id][-1][0]) if t.status == "pruned" and t.trial.id in rungs else t
            for t in batch
        ]
        if mirror:
            mirror.add(batch)
        tried += batch
    return Searched(tuple(tried), setting.study.base.width)


def _rungs(store: KeepsFiles, batch: Sequence[Tried]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Held-out losses that the runs' curves hold from before their end: where the pruner was asked."""
    curves = store.read_curves()
    ids, steps = {one.trial.id for one in batch}, batch[0].trial.training.steps
    kept = curves[curves["trial_id"].isin(ids) & (curves["step"] < steps) & curves["validation_loss"].notna()]
    return {
        str(trial_id): tuple((int(s), float(v)) for s, v in zip(part["step"], part["validation_loss"], strict=True))
        for trial_id, part in kept.sort_values("step").groupby("trial_id")
    }


def _by_telescope(setting: Setting, runner: RunsTrials, seed: int, worst: float, mirror: Mirror | None) -> Searched:
    levels = telescope(setting, runner, seed=seed, worst=worst)
    tried = tuple(one for level in levels for one in level.tried)
    if mirror:
        mirror.add(tried)
    return Searched(tried, levels[-1].width, tuple(levels))


def _base_of(setting: Setting, searched: Searched, finalists: Sequence[Finalist]) -> dict[str, Any]:
    winner, study = finalists[0], setting.study
    again = [run for finalist in finalists for run in finalist.runs]
    at_width = [t for t in searched.tried if t.trial.width == searched.width]
    spent = spent_flops([*searched.tried, *again])
    target = _target_flops(setting, BaseHPs.model_validate(study.base.hps.model_dump() | _base_only(winner.hps)))
    flat = basin(setting.space, at_width, winner)
    return {
        **study.base.hps.model_dump(),
        **winner.hps,
        "loss": winner.loss,
        "loss_spread": winner.spread,
        "flat_low": flat.low,
        "flat_high": flat.high,
        "curvature": flat.curvature,
        "trials": len({t.trial.id for t in [*searched.tried, *again]}),
        "search_trials": len({t.trial.id for t in searched.tried}),
        "diverged": sum(t.status == "diverged" for t in searched.tried),
        "pruned": sum(t.status == "pruned" for t in searched.tried),
        "failed": sum(t.status == "failed" for t in searched.tried),
        "flops": spent,
        "target_flops": target,
        "fraction_of_target": spent / target,
        "importances": importances(setting.space, at_width),
        "finalists": [finalist.to_json() for finalist in finalists],
        "levels": [level.to_json() for level in searched.levels],
        "warnings": tune_warnings(study) + edge_warnings(setting.space, winner.hps),
    }


def _base_only(hps: HPs) -> dict[str, float]:
    return {name: value for name, value in hps.items() if name in BaseHPs.model_fields}


def _target_flops(setting: Setting, base: BaseHPs) -> float:
    """FLOPs (dense count) of one run of the grid's most expensive cell."""
    study = setting.study
    cells = {
        (cell.width, cell.depth or study.base.depth): cell.density for cell in study.grid.shapes(study.base.depth)
    } or {(study.base.width, study.base.depth): 1.0}
    costs = [
        TRAINERS.get(study.trainer)
        .cost(
            make_trial(
                study,
                base=base,
                width=width,
                density=density,
                depth=depth,
                rule=study.grid.rules[0],
                seed=study.grid.seeds[0],
                precision=setting.precision,
                data_id=setting.data_id,
            )
        )
        .flops_dense
        for (width, depth), density in cells.items()
    ]
    return float(max(costs))


def _provenance(setting: Setting, tried: Sequence[Tried], digest: str) -> dict[str, Any]:
    """Where the numbers come from: the search in full, and the versions of the code that ran it."""
    study = setting.study
    rows = [t.row for t in tried if t.row]
    return {
        "study": study.name,
        "search_digest": digest,
        "written_by": __version__,
        "data_id": setting.data_id,
        "precision": setting.precision,
        "width": study.base.width,
        "depth": study.base.depth,
        "first_seed": tried[0].trial.seed,
        "code_versions": sorted({str(row["code_version"]) for row in rows}),
        "versions": _versions(rows),
        "tune": setting.tune.model_dump(mode="json"),
    }


def _versions(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Every distinct set of library versions the runs name."""
    return [json.loads(text) for text in sorted({str(row["versions"]) for row in rows})]
