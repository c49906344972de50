"""What a command line asks for, once its study file is read. Nothing here trains or writes."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from hptransfer.common.errors import InputError
from hptransfer.common.seams import TASKS
from hptransfer.drive.load_study import load_study
from hptransfer.store.file_names import RESULTS_FOLDER
from hptransfer.store.folders import is_local
from hptransfer.study.base import TunedBase
from hptransfer.study.study import Study
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.checks import study_warnings

__all__ = ["Request", "read_base_file", "results_uri"]


@dataclass(frozen=True)
class Request:
    """A study, where its results live, and how its trials are to be run."""

    study: Study
    results: str
    base: TunedBase | None = None
    """Content of `--base FILE`; None where none was given."""
    executor: str = "ray"
    address: str | None = None
    workers: int | None = None
    settings: WorkerSettings = field(default_factory=WorkerSettings)
    observe: tuple[str, ...] = ()
    """Observers beside those that are always there."""
    yes: bool = False
    same_numbers: bool = False
    """Whether rows stay although the source of an entry of the user's own has changed since."""
    storage: str | None = None
    command: str = ""
    """The command line as typed, for messages that say how to resume."""
    named: str = ""
    """The study as further commands name it: its path, with what was set beside it, and the results folder where that
    is not the usual one."""

    @classmethod
    def from_command_line(cls, given: Mapping[str, Any]) -> Request:
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
        base_file, results_dir = given.get("base_file"), given["results_dir"]
        return cls(
            study=study,
            results=results_uri(results_dir, study.name),
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
            same_numbers=bool(given.get("same_numbers")),
            storage=given.get("storage"),
            command=shlex.join(["hptransfer", *sys.argv[1:]]),
            named=shlex.join(
                [
                    str(path),
                    *(word for override in overrides for word in ("--set", override)),
                    *([] if results_dir == RESULTS_FOLDER else ["--results", results_dir]),
                ]
            ),
        )

    @property
    def data_id(self) -> str:
        """Fingerprint of the study's data."""
        name = self.study.task
        data = TASKS.get(name).open(self.study.data)
        fingerprint = getattr(data, "fingerprint", None)
        rule = f"`open` gives data ({type(data).__name__}) with a `fingerprint`, a text that names its content"
        TASKS.hold(name, isinstance(fingerprint, str) and fingerprint != "", rule, fingerprint)
        return str(fingerprint)


def results_uri(folder: str, name: str) -> str:
    """Where the study `name` keeps its results below `folder`, a path or a URI (whose query stays at its end)."""
    if is_local(folder):
        return f"{folder.rstrip('/')}/{name}"
    path, mark, query = folder.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def read_base_file(path: Path) -> TunedBase:
    """A base.json, checked: LR and init std are there, and every base HP is in range."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the base file: {error.strerror}", where=str(path)) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"not JSON: {error}", where=str(path), hint="give a base.json that `hptransfer tune` wrote"
        ) from None
    return TunedBase.read(content, str(path))
