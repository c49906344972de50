"""tensors.json: what a report says of a study without its code: the unit of its loss, and what each rule does to every
tensor of its largest, sparsest model."""

from __future__ import annotations

from typing import Any

import click

from hptransfer.common.errors import BreachError
from hptransfer.common.seams import TASKS, is_outside
from hptransfer.scaling.explain import explain_rows
from hptransfer.store.file_names import TENSORS_FILE
from hptransfer.store.store import Store
from hptransfer.training.build import target_of
from hptransfer.trials.settled import Settled

__all__ = ["store_tensors"]


def store_tensors(settled: Settled, store: Store) -> None:
    """Explain the corner of the grid under each rule and keep it. Where that cannot be done the reason is told."""
    study = settled.study
    cell, unit = study.corner, TASKS.get(study.task).unit
    explained = () if is_outside(study.trainer) else study.grid.rules  # what another trainer builds it alone knows
    trials = {rule: settled.trial(cell, rule=rule, seed=0) for rule in explained}
    made_of = [trial.id for trial in trials.values()]
    stored = store.read_json(TENSORS_FILE)
    if isinstance(stored, dict) and (stored.get("made_of"), stored.get("unit")) == (made_of, unit):
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
    complete = made_of if len(rules) == len(trials) else []
    store.write_json(TENSORS_FILE, {"unit": unit, **cell._asdict(), "rules": rules, "made_of": complete})
