"""A study that is known to fit together: what every command starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hptransfer.common.errors import InputError
from hptransfer.study.file import placed_in, read_study, study_of
from hptransfer.study.study import Study
from hptransfer.trials.checks import refuse_misfits

__all__ = ["load_study", "validate_study"]


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """The study in a file, with `overrides` such as `grid.widths=[64,128]` applied.

    Raises `InputError` and nothing else, whatever the file holds. Runs no code of the user's own.
    """
    study = read_study(path, overrides)
    try:
        refuse_misfits(study)
    except InputError as error:
        raise placed_in(path, overrides, error) from None
    return study


def validate_study(tree: Mapping[str, Any]) -> Study:
    """The same from plain values."""
    study = study_of(tree)
    refuse_misfits(study)
    return study
