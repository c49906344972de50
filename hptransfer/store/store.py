"""The store: the only source of truth about what has run.

Finished packs become immutable Parquet parts. A part's name carries the time it was made and the start of the
SHA-256 of its bytes, so a truncated, empty or altered part is noticed on reading, set aside and named; its trials
count as not stored and run again. Reading lets duplicates fall together by id: the first by part name counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hptransfer.common.errors import InputError, WorkError
from hptransfer.common.json_values import plain
from hptransfer.store import parts
from hptransfer.store.folders import Folder, open_folder

__all__ = ["Store"]

log = logging.getLogger("hptransfer")

_MOST_PARTS = 1000
_MERGED = "-merged"
_LOST = {"trials": "its trials will run again", "curves": "its curves are lost"}


class Store:
    """The results folder of one study. Make one with `Store.open`.

    Any number of readers may look while one writer, which holds the lock, appends.
    """

    def __init__(self, folder: Folder, study_name: str | None) -> None:
        self.folder = folder
        """Where the store lies, for files that are no part of it."""
        self._study = study_name
        self._release: Callable[[], None] | None = None
        self._small: dict[str, int] = {}
        self.damaged: dict[str, str] = {}
        """Parts found unreadable since opening, by name, and why."""

    @classmethod
    def open(cls, uri: str, study_name: str | None = None, create: bool = True) -> Store:
        """Open the results folder at a local path or any `pyarrow.fs` URI.

        With a `study_name`, refuses a folder in which some part holds another study's results or was written by a newer
        schema; without one it is reading that refuses the latter. `create=False` refuses a folder that is not there.
        """
        store = cls(open_folder(str(uri), create=create), study_name)
        if study_name is not None:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(store._refuse, store._named("trials")))
        return store

    @property
    def uri(self) -> str:
        """Where the store lies."""
        return self.folder.uri

    def holder(self) -> str:
        """The driver that is writing here, in words; empty when nobody is."""
        return self.folder.holder()

    @contextmanager
    def lock(self) -> Iterator[Store]:
        """Be the only writer. A second one is refused (InputError) with the first one's pid and host."""
        self._release = self.folder.lock()
        try:
            self.folder.clean()
            for kind in parts.KEYS:
                self._count_small(kind, len(self._small_parts(kind)))
            yield self
        finally:
            release, self._release = self._release, None
            release()

    def append(self, rows: Sequence[Mapping[str, Any]], curves: Sequence[Mapping[str, Any]] = ()) -> None:
        """Store finished trials as one immutable part. Curves go first, so that a stored row always has its curve.

        Raises WorkError on a full disk; what was stored before stays intact.
        """
        if self._release is None:
            raise RuntimeError("only the holder of the store's lock may append")
        for kind, new in (("curves", curves), ("trials", rows)):
            if new:
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
                self._write_part(kind, pa.Table.from_pylist(list(new), schema=parts.SCHEMAS[kind]), stamp)
                self._count_small(kind, self._small[kind] + 1)

    def ids(self) -> set[str]:
        """Ids of the stored trials."""
        return set(self.table().column("trial_id").to_pylist())

    def table(self, kind: str = "trials") -> pa.Table:
        """Every stored trial (or point of a curve) once, as an Arrow table with the columns of its schema.

        Of the readable parts, in the order of their names.
        """
        for _ in range(5):
            try:
                return parts.joined(self._load_all(self._named(kind)).values(), kind)
            except FileNotFoundError:
                continue  # the writer merged small parts between our listing and our reading; list again
        raise WorkError(f"{self.uri}: parts keep vanishing while they are read")

    def read(self) -> pd.DataFrame:
        """Every stored trial once, a row each. Diverged and pruned trials have a NaN loss."""
        return parts.frame_of(self.table())

    def read_curves(self) -> pd.DataFrame:
        """Every stored point of every learning curve once."""
        return parts.frame_of(self.table("curves"))

    def path_of(self, name: str) -> str:
        """Full path or URI of a file inside the store."""
        return self.folder.path_of(name)

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON document, whole or not at all. NaN and infinities become null: JSON has no word for them."""
        self.write_text(name, json.dumps(plain(value), indent=1, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """A JSON document, or None when there is none. Refuses one that is not JSON."""
        text = self.read_text(name)
        if text is None:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise InputError("is not valid JSON", where=self.path_of(name), hint=str(error)) from None

    def write_frame(self, name: str, frame: pd.DataFrame) -> None:
        """Write a dataframe that is no part of the trials, for example `check.parquet`, whole or not at all."""
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer, compression="zstd")
        self.folder.write(name, buffer.getvalue().to_pybytes())

    def read_frame(self, name: str) -> pd.DataFrame | None:
        """A dataframe that `write_frame` wrote, or None when there is none. Refuses one that is not Parquet."""
        try:
            frame: pd.DataFrame = pq.read_table(pa.BufferReader(self.folder.read(name))).to_pandas()
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            why = str(error).splitlines()[0]
            raise InputError("is no readable Parquet file", where=self.path_of(name), hint=why) from None
        return frame

    def write_text(self, name: str, text: str) -> None:
        """Write a text file (UTF-8), whole or not at all."""
        self.folder.write(name, text.encode())

    def read_text(self, name: str) -> str | None:
        """A text file, or None when there is none."""
        try:
            return self.folder.read(name).decode(errors="replace")
        except FileNotFoundError:
            return None

    def names(self, subfolder: str) -> list[str]:
        """Files in a subfolder, for example `failed`, by their names inside the store."""
        return self.folder.names(subfolder)

    def remove(self, name: str) -> None:
        """Remove a file that is no part, for example the log of a failure that has since been mended."""
        if parts.kind_of(name) in parts.KEYS:
            raise ValueError("parts are immutable")
        self.folder.remove(name)

    def _write_part(self, kind: str, table: pa.Table, stamp: str) -> None:
        data = parts.encode(table)

        def check(found: bytes) -> None:
            if found != data or pq.read_metadata(pa.BufferReader(found)).num_rows != table.num_rows:
                raise WorkError(f"{self.uri}: a new part of {kind} did not read back as it was written")

        self.folder.write(parts.part_name(kind, stamp, data), data, check)

    def _refuse(self, name: str) -> None:
        """Refuse a part that is no business of ours; reading will say of one that cannot be read."""
        with suppress(parts.DamagedError, FileNotFoundError):  # the latter: its writer merged it a moment ago
            self._refuse_other_study(parts.origin(name, self.folder.read(name), self.path_of(name)))

    def _load(self, name: str) -> pa.Table:
        """One part, checked and with the columns of the present schema."""
        table = parts.decode(name, self.folder.read(name), self.path_of(name))
        self._refuse_other_study(table)
        return table

    def _refuse_other_study(self, table: pa.Table) -> None:
        study = table.column("study")[0].as_py() if "study" in table.column_names and table.num_rows else ""
        if self._study and study and study != self._study:
            raise InputError(
                "this results folder belongs to another study",
                where=self.uri,
                found=study,
                allowed=self._study,
                hint="choose another folder with --results",
            )

    def _named(self, kind: str) -> list[str]:
        return [name for name in self.folder.names(kind) if name.endswith(".parquet")]

    def _small_parts(self, kind: str) -> list[str]:
        return [name for name in self._named(kind) if _MERGED not in name]

    def _load_all(self, names: Sequence[str]) -> dict[str, pa.Table]:
        tables = {}
        with ThreadPoolExecutor(4) as pool:
            for name, loading in [(name, pool.submit(self._load, name)) for name in names]:
                try:
                    tables[name] = loading.result()
                except parts.DamagedError as error:
                    self._set_aside(name, str(error))
        return tables

    def _set_aside(self, name: str, why: str) -> None:
        if name not in self.damaged:
            verb = "set aside" if self._release else "left out"
            log.warning("%s %s; %s, %s", self.path_of(name), why, verb, _LOST[parts.kind_of(name)])
        self.damaged[name] = why
        if self._release is not None:  # only the writer may move files
            self.folder.move(name, f"set-aside/{name.replace('/', '-')}")

    def merge(self) -> None:
        """Merge all small parts into one a kind, for a folder that is done and is to be kept or sent."""
        for kind in parts.KEYS:
            self._merge(kind)

    def _count_small(self, kind: str, count: int) -> None:
        """Keep count of small parts; once there are so many that reading slows, they become one."""
        self._small[kind] = count
        if count > _MOST_PARTS:
            self._merge(kind)

    def _merge(self, kind: str) -> None:
        """Small parts go only when the merged one is safe.

        It takes the time of its oldest member, so that the order of parts stays as it was.
        """
        small = self._load_all(self._small_parts(kind))
        if small:
            stamp = min(small).partition("/")[2].removesuffix(".parquet").partition("-")[0]
            self._write_part(kind, parts.joined(small.values(), kind), f"{stamp}{_MERGED}")
        for name in small:
            self.folder.remove(name)
        self._small[kind] = 0
