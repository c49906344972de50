"""Entries of the user's own whose source has changed since rows were stored: told, never mixed in silence."""

from __future__ import annotations

from collections import Counter

from hptransfer.common.errors import InputError
from hptransfer.common.seams import identities_in, identity_of, import_entry, source_file
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.study.trial import outside_entries
from hptransfer.trials.settled import Settled

__all__ = ["own_entries", "refuse_changed_sources"]


def own_entries(study: Study) -> set[str]:
    """The entries of the user's own that a study names."""
    studies = [series.settled.study for series in Settled(study, study.base.hps, "fp32", "").series()]
    return {name for one in studies for name in outside_entries(one, *study.grid.sweep)}


def refuse_changed_sources(study: Study, store: Store) -> None:
    """Refuse to go on beside rows of an entry that the study names, carries no version and was written otherwise."""
    own = {name: identity_of(name) for name in own_entries(study)}
    if not own:
        return
    rows: Counter[tuple[str, str]] = Counter()
    for text, count in Counter(store.table().column("entries").to_pylist()).items():
        rows.update(dict.fromkeys(identities_in(text).items(), count))
    for (name, stored), count in rows.items():
        now = own.get(name, stored)
        if now != stored and now.startswith("source ") and stored.startswith("source "):
            raise InputError(
                f"{name} has changed since {count} stored trials were run with it",
                where=source_file(import_entry(name, where=name)),
                found=f"{now}; stored: {stored}",
                hint="give it a `version` and raise that when its numbers change, or choose another folder with"
                " --results, or keep the rows with --same-numbers where it still comes to the same numbers",
            )
