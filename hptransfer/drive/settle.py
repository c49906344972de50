"""What a results folder settles of a study: its base HPs and the precision of its trials. Nothing is written."""

from __future__ import annotations

import yaml

from hptransfer.common.errors import InputError
from hptransfer.common.seams import is_outside
from hptransfer.drive.request import Request
from hptransfer.store.file_names import BASE_FILE, STUDY_FILE
from hptransfer.store.folders import NoFolderError
from hptransfer.store.store import Store
from hptransfer.study.base import TunedBase
from hptransfer.study.pieces import Precision
from hptransfer.study.study import Study
from hptransfer.training.calibrate import calibrate_precision
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.settled import Settled

__all__ = ["existing_store", "settled_by", "settled_precision", "stored_base", "stored_precision"]


def existing_store(request: Request) -> Store | None:
    """The study's results folder, None where there is none yet. Nothing is created."""
    try:
        return Store.open(request.results, request.study.name, create=False)
    except NoFolderError:
        return None


def settled_by(request: Request, store: Store | None) -> tuple[Settled, TunedBase, str]:
    """The study as it stands, its base, and where that came from. A precision not settled yet is taken for fp32."""
    base, source = stored_base(request, store)
    precision = stored_precision(request.study, store) or "fp32"
    return Settled.from_base(request.study, base, precision, request.data_id), base, source


def stored_base(request: Request, store: Store | None) -> tuple[TunedBase, str]:
    """The base that holds, and where it came from: `--base`, the results folder, or the study itself."""
    if request.base is not None:
        return request.base, "--base"
    stored = store.read_json(BASE_FILE) if store is not None else None
    if store is not None and stored is not None:
        base = TunedBase.read(stored, store.path_of(BASE_FILE))
        if base.tuned:  # otherwise the study has the last word on its own base
            return base, "base.json of the results folder"
    return TunedBase.untuned(request.study.base.hps), "base of the study file, not tuned"


def settled_precision(study: Study, store: Store, data_id: str, settings: WorkerSettings) -> Precision:
    """The stored precision, else that in which our own trainer trains the widest model of the grid faster."""
    if stored := stored_precision(study, store):
        return stored
    if is_outside(study.trainer):
        return "fp32"
    dense = max(study.cells, key=lambda cell: cell.width)._replace(density=1.0)
    exact = Settled(study, study.base.hps, "fp32", data_id)
    return calibrate_precision(exact.trial(dense, rule=study.grid.rules[0], seed=0), settings)


def stored_precision(study: Study, store: Store | None) -> Precision | None:
    """The precision the study names, else the one settled in its results folder, else None."""
    asked = study.training.precision
    if asked != "auto":
        return asked
    text = store.read_text(STUDY_FILE) if store is not None else None
    if store is None or text is None:
        return None
    try:
        precision = yaml.safe_load(text)["training"]["precision"]
    except (yaml.YAMLError, TypeError, KeyError):
        raise InputError(
            "the stored study cannot be read, so the precision of its trials is unknown",
            where=store.path_of(STUDY_FILE),
            hint="name it with --set training.precision=fp32 or bf16; the rows say which it was",
        ) from None
    return precision if precision in ("fp32", "bf16") else None
