"""How far a study is, from what its results folder holds; it may be running meanwhile."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hptransfer.common.errors import InputError
from hptransfer.store.file_names import FAILED_FOLDER, RUNNING_FILE, STUDY_FILE
from hptransfer.store.read_results import diverged, read_rows, where_results_are
from hptransfer.store.store import Store

__all__ = ["Status", "status_of"]


@dataclass(frozen=True)
class Status:
    """Trials of a study by what became of them. `stored` counts rows, the diverged among them."""

    planned: int
    stored: int
    diverged: int
    failed: int
    in_flight: int
    running: bool
    holder: str = ""
    """Who is running the study; empty when nobody is."""
    updated: str = "unknown"

    def to_json(self) -> dict[str, Any]:
        """The counts alone, for `--json`."""
        return {name: value for name, value in asdict(self).items() if name not in ("holder", "updated")}


def status_of(uri: str) -> Status:
    """The state of the results folder at `uri`."""
    store = Store.open(uri, create=False)
    rows = read_rows(store, [])
    noted, holder = store.read_json(RUNNING_FILE) or {}, store.holder()
    stored, failed = len(rows), len(store.names(FAILED_FOLDER))
    if not (stored or failed or noted or holder or store.read_text(STUDY_FILE)):
        raise InputError("holds no study", where=store.uri, hint=where_results_are(store.uri))
    return Status(
        planned=max(int(noted.get("planned", 0)), stored + failed),
        stored=stored,
        diverged=int(diverged(rows).sum()),
        failed=failed,
        in_flight=int(noted.get("in_flight", 0)) if holder else 0,
        running=bool(holder),
        holder=holder,
        updated=str(noted.get("updated", "unknown")),
    )
