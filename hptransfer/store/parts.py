"""A part: a few rows of one kind as the bytes of a Parquet file, whose name says what the bytes must be.

Nothing here touches a folder: bytes and names come in, tables go out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hptransfer.common.files import digest_of
from hptransfer.store.columns import CURVE_SCHEMA, SCHEMA, refuse_newer, upgrade

__all__ = [
    "KEYS",
    "SCHEMAS",
    "DamagedError",
    "decode",
    "digest_in",
    "encode",
    "frame_of",
    "joined",
    "kind_of",
    "origin",
    "part_name",
]

SCHEMAS = {"trials": SCHEMA, "curves": CURVE_SCHEMA}
KEYS = {"trials": ["trial_id"], "curves": ["trial_id", "step"]}
"""What tells two rows apart: of several with one key the first by part name counts."""
_DIGITS = 16
_DIGEST = re.compile(rf"-([0-9a-f]{{{_DIGITS}}})\.parquet$")
_LARGE = 64
"""Above so many rows a part is packed tightly. Below it is written plainly: reading thousands must be quick."""


class DamagedError(Exception):
    """A part whose bytes cannot be trusted; the message goes on from its name."""


def kind_of(name: str) -> str:
    """`trials` or `curves`: the subfolder that a part lies in."""
    return name.partition("/")[0]


def part_name(kind: str, stamp: str, data: bytes) -> str:
    """Where a part lies: parts sort by the time of their making, and carry the digest of their bytes."""
    return f"{kind}/{stamp}-{digest_of(data, _DIGITS)}.parquet"


def digest_in(name: str) -> str:
    """The digest that a part's name carries; empty for one from before digests, or from elsewhere."""
    found = _DIGEST.search(name)
    return found[1] if found else ""


def encode(table: pa.Table) -> bytes:
    """The bytes of a part."""
    sink, large = pa.BufferOutputStream(), table.num_rows > _LARGE
    packing: dict[str, Any] = {"compression": "zstd" if large else "snappy", "use_dictionary": large}
    pq.write_table(table, sink, write_statistics=False, store_schema=False, **packing)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode(name: str, data: bytes, where: str) -> pa.Table:
    """The rows of a part, with the columns of the present schema.

    DamagedError when the bytes are not those that were written, InputError naming `where` for a newer schema.
    """
    schema, table = SCHEMAS[kind_of(name)], _read(name, data, where)
    for key in KEYS[kind_of(name)]:
        if key not in table.column_names:
            raise DamagedError(f"lacks the column {key}")
    try:
        return table if table.schema.equals(schema) else upgrade(table, schema)
    except pa.ArrowException as error:
        raise DamagedError(f"is no readable Parquet file: {str(error).splitlines()[0]}") from None


def origin(name: str, data: bytes, where: str) -> pa.Table:
    """Of the rows of a part only which schema and study they belong to, a fifth of the work; errors as of `decode`."""
    return _read(name, data, where, ["schema_version", "study"])


def _read(name: str, data: bytes, where: str, columns: list[str] | None = None) -> pa.Table:
    digest = digest_in(name)
    if digest and digest != digest_of(data, _DIGITS):
        raise DamagedError("is empty" if not data else "its bytes do not match the digest in its name")
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(f"is no readable Parquet file: {str(error).splitlines()[0]}") from None
    if "schema_version" in table.column_names:  # it keeps its name in every version
        refuse_newer(pc.max(table.column("schema_version")).as_py(), where)
    return table


def joined(parts: Iterable[pa.Table], kind: str) -> pa.Table:
    """Parts as one table, each key once, with the columns in order."""
    loose = pa.schema([field.with_nullable(True) for field in SCHEMAS[kind]])
    table = pa.concat_tables([loose.empty_table(), *(part.cast(loose) for part in parts)])
    duplicate = table.select(KEYS[kind]).to_pandas().duplicated(keep="first").to_numpy()
    return table.filter(pa.array(~duplicate)) if duplicate.any() else table


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Pandas with plain types; the one integer column that is mostly empty keeps its integers as `Int64`."""
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype({"diverged_step": "Int64"}) if "diverged_step" in frame else frame
