"""Tune a study's base hyperparameters on the dense proxy: search, run finalists again, write `base.json`.

Nothing but the store remembers a search. Proposals are a function of the study and of the losses told, so a search
that was killed asks for the same trials again and finds the finished ones stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hptransfer.common.version import __version__
from hptransfer.execute.pruning import PastRun
from hptransfer.execute.runner import Runner
from hptransfer.store.file_names import BASE_FILE, HISTORY_FILE
from hptransfer.store.store import Store
from hptransfer.study.base import TUNED_TRAINING, TunedBase
from hptransfer.study.study import Range
from hptransfer.training.trainer import cost_by_trainer
from hptransfer.trials.proxy.finalists import Finalist, run_finalists
from hptransfer.trials.proxy.mirror import Mirror, importances
from hptransfer.trials.proxy.proxy import Proxy, refuse_vain_search, tune_warnings
from hptransfer.trials.proxy.samplers import Search
from hptransfer.trials.proxy.space import HPs
from hptransfer.trials.proxy.summary import basin, edge_warnings, fitted_optimum, flat_directions, history
from hptransfer.trials.proxy.telescope import Level, telescope
from hptransfer.trials.proxy.tried import Tried, diverged_everywhere, run_points, spent_flops
from hptransfer.trials.settled import Settled

__all__ = ["search", "tune"]


@dataclass(frozen=True)
class SearchResult:
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


@dataclass(frozen=True)
class Found:
    """A search that came to its end: its runs, its finalists, the winner first, and the fitted minimum if there is."""

    searched: SearchResult
    finalists: list[Finalist]
    fitted: HPs | None

    @property
    def runs(self) -> list[Tried]:
        """Every run, those of the finalists last."""
        return [*self.searched.tried, *(run for finalist in self.finalists for run in finalist.runs)]


def tune(settled: Settled, runner: Runner, *, storage_url: str | None = None) -> TunedBase:
    """Search, choose the winner on fresh seeds, write base.json (and tune.json, every run in order).

    A search that base.json already holds, all its runs stored, is not replayed (a GP replay takes seconds per trial).
    `storage_url` also copies every run into that Optuna storage. Raises InputError for a search that cannot mean
    anything and WorkError when no proxy trial, or no finalist, reaches its end.
    """
    refuse_vain_search(settled.study)
    proxy = Proxy(settled)
    runner.expect(proxy.planned)
    if storage_url is None and (finished := _finished(runner.store, proxy.digest)) is not None:
        return finished
    mirror = Mirror(storage_url, settled.study.name, proxy.digest, proxy.space) if storage_url else None
    found = search(proxy, runner, mirror)
    if mirror:
        for finalist in found.finalists:
            mirror.add(finalist.runs, prefix="finalist")
    base = _base_of(proxy, found)
    runner.store.write_json(HISTORY_FILE, history(found.searched.tried, found.finalists))
    runner.store.write_json(BASE_FILE, base.document())
    return base


def search(proxy: Proxy, runner: Runner, mirror: Mirror | None = None) -> Found:
    """Run a search and its finalists; at a cell of its own always with the sampler. Raises WorkError as `tune` does."""
    by_strategy = _by_telescope if proxy.tune.strategy == "telescope" and proxy.cell is None else _by_optuna
    searched = by_strategy(proxy, runner, mirror)
    candidates, fitted = searched.candidates(proxy.space)
    if not candidates:
        raise diverged_everywhere(searched.tried)
    return Found(searched, run_finalists(proxy, runner, candidates, fitted=fitted, width=searched.width), fitted)


def _finished(store: Store, digest: str) -> TunedBase | None:
    """The base.json of this very search, written by this version, with every run it names still stored."""
    base, runs = store.read_json(BASE_FILE), store.read_json(HISTORY_FILE)
    if not isinstance(base, dict) or not isinstance(runs, list):
        return None
    made_by = base.get("provenance") or {}
    if made_by.get("search_digest") != digest or made_by.get("written_by") != __version__ or base.get("failed"):
        return None
    return TunedBase.read(base, BASE_FILE) if {run["trial_id"] for run in runs} <= store.ids() else None


def _by_optuna(proxy: Proxy, runner: Runner, mirror: Mirror | None) -> SearchResult:
    spec, search = proxy.tune, Search(proxy)
    pruner = None if spec.pruner == "none" else spec.pruner
    tried: list[Tried] = []
    past: list[PastRun] = []
    while len(tried) < search.planned:
        points = search.ask(min(spec.batch, search.planned - len(tried)))
        batch = run_points(proxy, runner, points, seed=proxy.seed, pruner=pruner, past=past)
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
    return SearchResult(tuple(tried), tried[0].trial.width)


def _rungs(store: Store, batch: Sequence[Tried]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Held-out losses that the runs' curves hold from before their end: where the pruner was asked."""
    curves = store.read_curves()
    ids, steps = {one.trial.id for one in batch}, batch[0].trial.training.steps
    kept = curves[curves["trial_id"].isin(ids) & (curves["step"] < steps) & curves["validation_loss"].notna()]
    return {
        str(trial_id): tuple((int(s), float(v)) for s, v in zip(part["step"], part["validation_loss"], strict=True))
        for trial_id, part in kept.sort_values("step").groupby("trial_id")
    }


def _by_telescope(proxy: Proxy, runner: Runner, mirror: Mirror | None) -> SearchResult:
    levels = telescope(proxy, runner)
    tried = tuple(one for level in levels for one in level.tried)
    if mirror:
        mirror.add(tried)
    return SearchResult(tried, levels[-1].width, tuple(levels))


def _base_of(proxy: Proxy, search: Found) -> TunedBase:
    searched, finalists = search.searched, search.finalists
    winner, space = finalists[0], proxy.space
    at_width = [t for t in searched.tried if t.trial.width == searched.width]
    chosen, spent = proxy.settled.with_hps(winner.hps), spent_flops(search.runs)
    around = basin(space, at_width, winner)
    target = _target_flops(chosen)
    found = {
        "search_trials": len({t.trial.id for t in searched.tried}),
        **{status: sum(t.status == status for t in searched.tried) for status in ("diverged", "pruned", "failed")},
        "target_flops": target,
        "fraction_of_target": spent / target if target else None,  # a trainer may not know its cost
        "importances": importances(space, at_width),
        "fitted_minimum": None if search.fitted is None else dict(search.fitted),
        "flat_directions": flat_directions(space, at_width),
        "finalists": [finalist.to_json() for finalist in finalists],
        "levels": [level.to_json() for level in searched.levels],
        "warnings": tune_warnings(proxy.study) + edge_warnings(space, winner.hps, around),
        "provenance": _provenance(proxy, searched.tried),
    }
    return TunedBase(
        chosen.hps,
        {name: value for name, value in winner.hps.items() if name in TUNED_TRAINING},
        trials=len({t.trial.id for t in search.runs}),
        flops=spent,
        loss=winner.loss,
        loss_spread=winner.spread,
        **around,
        further=found,
    )


def _target_flops(settled: Settled) -> float:
    """FLOPs (dense count) of one run of the grid's most expensive cell."""
    study = settled.study
    cells = {(cell.width, cell.depth): cell for cell in study.cells}
    trials = [settled.trial(cell, rule=study.grid.rules[0], seed=study.grid.seeds[0]) for cell in cells.values()]
    return float(max(cost_by_trainer(trial).flops_dense for trial in trials))


def _provenance(proxy: Proxy, tried: Sequence[Tried]) -> dict[str, Any]:
    """Where the numbers come from: the search in full, and the versions of the code that ran it."""
    study, settled = proxy.study, proxy.settled
    rows = [t.row for t in tried if t.row]
    return {
        "study": study.name,
        "search_digest": proxy.digest,
        "written_by": __version__,
        "data_id": settled.data_id,
        "precision": settled.precision,
        "width": study.base.width,
        "depth": study.base.depth,
        "first_seed": tried[0].trial.seed,
        "code_versions": sorted({str(row["code_version"]) for row in rows}),
        "versions": [json.loads(text) for text in sorted({str(row["versions"]) for row in rows})],
        "tune": proxy.tune.model_dump(mode="json"),
    }
