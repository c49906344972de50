"""What every command starts from: the study as asked for, where its results live, which base HPs hold.

Reading only; nothing here trains. `hptransfer.drive.run` runs studies, `hptransfer.cli.inspection` looks at them,
`hptransfer.cli.readout` reads what they left.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError

from hptransfer.common.errors import InputError
from hptransfer.drive.load_study import load_study, study_warnings
from hptransfer.store.file_names import BASE_FILE, RESULTS_FOLDER, STUDY_FILE
from hptransfer.store.folders import NoFolderError, is_local
from hptransfer.store.store import Store
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import Precision
from hptransfer.study.refusals import first_refusal
from hptransfer.study.study import Study
from hptransfer.tasks.data import open_corpus
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.proxy import untuned_base

__all__ = [
    "Options",
    "existing_store",
    "read_base_file",
    "results_uri",
    "stored_base",
    "stored_precision",
]


@dataclass(frozen=True)
class Options:
    """The options of a command that reads a study file, after the command line and before any work."""

    study: Study
    results: str
    base: Mapping[str, Any] | None = None
    """Content of `--base FILE`; None where none was given."""
    executor: str = "ray"
    address: str | None = None
    workers: int | None = None
    settings: WorkerSettings = field(default_factory=WorkerSettings)
    observe: tuple[str, ...] = ()
    """Observers beside those that are always there."""
    yes: bool = False
    storage: str | None = None
    command: str = ""
    """The command line as typed, for messages that say how to resume."""
    named: str = ""
    """The study as further commands name it: its path, with the results folder where that is not the usual one."""

    @classmethod
    def from_command_line(cls, given: Mapping[str, Any]) -> Options:
        """Read the study named on the command line; prints its warnings. Makes a user's own module importable."""
        path = Path(given["study"])
        overrides = list(given.get("overrides", ()))
        if given.get("search"):
            overrides.append(f"grid.search={given['search']}")
        folders = tuple(dict.fromkeys((str(Path.cwd()), str(path.resolve().parent))))
        sys.path[:0] = [folder for folder in folders if folder not in sys.path]
        study = load_study(path, overrides)
        for warning in study_warnings(study):
            click.echo(f"hptransfer: warning: {warning}", err=True)
        base_file = given.get("base_file")
        results = results_uri(given["results_dir"], study.name)
        return cls(
            study=study,
            results=results,
            base=read_base_file(base_file) if base_file else None,
            executor=given.get("executor", "local"),
            address=given.get("address"),
            workers=given.get("workers"),
            settings=WorkerSettings(
                device=given.get("device", "auto"),
                products=given.get("products", "auto"),
                compile="never" if given.get("no_compile") else "auto",
                sys_path=folders,
            ),
            observe=tuple(given.get("observe", ())),
            yes=bool(given.get("yes")),
            storage=given.get("storage"),
            command=shlex.join(["hptransfer", *sys.argv[1:]]),
            named=shlex.join([str(path), *_unless_usual(given["results_dir"])]),
        )

    @property
    def data_id(self) -> str:
        """Fingerprint of the study's corpus."""
        return open_corpus(self.study.data).fingerprint


def _unless_usual(results_dir: str) -> list[str]:
    return [] if results_dir == RESULTS_FOLDER else ["--results", results_dir]


def results_uri(folder: str, name: str) -> str:
    """Where the study `name` keeps its results below `folder`, a path or a URI (whose query stays at its end)."""
    if is_local(folder):
        return f"{folder.rstrip('/')}/{name}"
    path, mark, query = folder.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def existing_store(options: Options) -> Store | None:
    """The study's results folder, None where there is none yet. Nothing is created."""
    try:
        return Store.open(options.results, options.study.name, create=False)
    except NoFolderError:
        return None


def read_base_file(path: Path) -> dict[str, Any]:
    """A base.json, checked: the five base HPs are there and in range."""
    where = str(path)
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the base file: {error.strerror}", where=where) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"not JSON: {error}", where=where, hint="give a base.json that `hptransfer tune` wrote"
        ) from None
    if not isinstance(content, dict):
        raise InputError("must be a JSON object", where=where, found=content, allowed=", ".join(BaseHPs.model_fields))
    return _checked_base(content, where)


def _checked_base(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The content of a base.json as it is, once its HPs are known to be there and in range."""
    missing = [name for name in ("lr", "init_std") if not isinstance(content.get(name), int | float)]
    if missing:
        raise InputError(
            f"{' and '.join(missing)} must be numbers",
            where=where,
            found=sorted(content),
            allowed=", ".join(BaseHPs.model_fields),
        )
    try:
        BaseHPs.model_validate({name: content[name] for name in BaseHPs.model_fields if content.get(name) is not None})
    except ValidationError as error:
        raise first_refusal(error, BaseHPs).at(where) from None
    return dict(content)


def stored_base(options: Options, store: Store | None) -> tuple[dict[str, Any], str]:
    """The base HPs that hold, and where they came from: `--base`, the results folder, or the study itself."""
    if options.base is not None:
        return dict(options.base), "--base"
    stored = store.read_json(BASE_FILE) if store is not None else None
    if store is not None and stored is not None:
        checked = _checked_base(stored, store.path_of(BASE_FILE))
        if checked.get("trials") != 0:  # 0: nothing was tuned, so the study has the last word on its own base
            return checked, "base.json of the results folder"
    return untuned_base(options.study), "base of the study file, not tuned"


def stored_precision(study: Study, store: Store | None) -> Precision | None:
    """The precision the study names, else the one settled in its results folder, else None."""
    asked = study.training.precision
    if asked != "auto":
        return asked
    text = store.read_text(STUDY_FILE) if store is not None else None
    if text is None:
        return None
    try:
        precision = yaml.safe_load(text)["training"]["precision"]
    except (yaml.YAMLError, TypeError, KeyError):
        raise InputError(
            "the stored study cannot be read, so the precision of its trials is unknown",
            where=store.path_of(STUDY_FILE) if store is not None else STUDY_FILE,
            hint="name it with --set training.precision=fp32 or bf16; the rows say which it was",
        ) from None
    return precision if precision in ("fp32", "bf16") else None
