"""tensors.json: what each rule does to every tensor of a study's largest, sparsest model, for its report."""

from __future__ import annotations

from typing import Any

import click

from hptransfer.common.errors import BreachError
from hptransfer.common.seams import is_outside
from hptransfer.scaling.explain import explain_rows
from hptransfer.store.file_names import TENSORS_FILE
from hptransfer.store.store import Store
from hptransfer.training.build import target_of
from hptransfer.trials.grid import corner
from hptransfer.trials.settled import Settled

__all__ = ["store_tensors"]


def store_tensors(settled: Settled, store: Store) -> None:
    """Explain the corner of the grid under each rule and keep it. Where that cannot be done the reason is told."""
    study = settled.study
    if is_outside(study.trainer):  # what it builds it alone knows
        return
    cell = corner(study)
    trials = {rule: settled.trial(cell, rule=rule, seed=0) for rule in study.grid.rules}
    made_of = [trial.id for trial in trials.values()]
    stored = store.read_json(TENSORS_FILE)
    if isinstance(stored, dict) and stored.get("made_of") == made_of:
        return
    rules: dict[str, Any] = {}
    for rule, trial in trials.items():
        try:
            rules[rule] = explain_rows(target_of(trial))
        except BreachError:
            raise
        except Exception as error:  # building a user's own model may raise anything; only this table is lost by it
            said = (str(error).splitlines() or [type(error).__name__])[0]
            click.echo(f"hptransfer: note: the report will not say what {rule} does to each tensor: {said}", err=True)
    size = {"width": cell.width, "density": cell.density, "depth": cell.depth}
    complete = made_of if len(rules) == len(trials) else []
    store.write_json(TENSORS_FILE, {**size, "rules": rules, "made_of": complete})
