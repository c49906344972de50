"""Rows that did not come from our store: any folder of Parquet files with the documented columns. Nothing is verified.

Such files carry no digest, so that damage which still reads as Parquet goes unnoticed, and their columns mean what we
hope they mean. Only what tells of a newer schema is refused here as everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hptransfer.store.columns import refuse_newer
from hptransfer.store.file_names import CHECK_FRAME_FILE
from hptransfer.store.folders import Folder
from hptransfer.store.parts import digest_in

__all__ = ["UNVERIFIED", "foreign_files", "read_unverified"]

log = logging.getLogger("hptransfer")

UNVERIFIED = "these rows were not written by hptransfer's store, so nothing about them is verified"
"""What every reader of such rows says of them."""


def foreign_files(folder: Folder) -> list[str]:
    """The Parquet files of a folder that is no store of ours: those of trials/, else loose ones. Empty for a store."""
    parts = _parquet(folder.names("trials"))
    if any(digest_in(name) for name in parts):
        return []
    return parts or [name for name in _parquet(folder.names("")) if name != CHECK_FRAME_FILE]


def read_unverified(folder: Folder, names: Iterable[str], problems: list[str]) -> pd.DataFrame:
    """The rows of these files as they are; `problems` gets a word for each that cannot be read.

    Of rows with one key, `trial_id` and `step` where there are such columns, the first counts.
    """
    frames = []
    for name in _parquet(names):
        try:
            frame = pq.read_table(pa.BufferReader(folder.read(name))).to_pandas()
        except (pa.ArrowException, OSError) as error:
            problems.append(f"{PurePosixPath(name).name} cannot be read ({str(error).splitlines()[0]})")
            log.warning("%s: %s", folder.uri, problems[-1])  # as the store says it of a damaged part
            continue
        if "schema_version" in frame and len(frame):
            refuse_newer(frame["schema_version"].max(), folder.path_of(name))
        frames.append(frame)
    whole = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    keys = [key for key in ("trial_id", "step") if key in whole]
    if "trial_id" in keys and whole["trial_id"].notna().all():
        whole = whole.drop_duplicates(keys, ignore_index=True)
    return whole


def _parquet(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.endswith(".parquet")]
