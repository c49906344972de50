"""A part is bytes with a name that says what they must be."""

from __future__ import annotations

import pyarrow as pa
import pytest

from hptransfer.common.errors import InputError
from hptransfer.store.columns import CURVE_SCHEMA
from hptransfer.store.parts import DamagedError, decode, digest_in, encode, joined, kind_of, part_name


def curve(*points: tuple[str, int, float]) -> pa.Table:
    rows = [{"trial_id": i, "step": s, "train_loss": x, "validation_loss": x} for i, s, x in points]
    return pa.Table.from_pylist(rows, schema=CURVE_SCHEMA)


@pytest.mark.parametrize("rows", [1, 100])
def test_what_is_encoded_is_decoded_under_its_own_name(rows: int) -> None:
    table = curve(*(("a", step, 1.5) for step in range(rows)))
    data = encode(table)
    name = part_name("curves", "20240101", data)
    assert kind_of(name) == "curves"
    assert decode(name, data, "here").equals(table)


def test_other_bytes_than_those_that_were_written_are_damage() -> None:
    data = encode(curve(("a", 1, 1.5)))
    name = part_name("curves", "20240101", data)
    for changed in (b"", data[:-1], encode(curve(("a", 1, 1.6)))):
        with pytest.raises(DamagedError):
            decode(name, changed, "here")


def test_without_a_digest_only_what_cannot_be_read_or_lacks_a_key_is_damage() -> None:
    assert digest_in("curves/old.parquet") == ""
    assert decode("curves/old.parquet", encode(curve(("a", 1, 1.5))), "here").num_rows == 1
    with pytest.raises(DamagedError, match="no readable Parquet file"):
        decode("curves/old.parquet", b"text", "here")
    with pytest.raises(DamagedError, match="lacks the column step"):
        decode("curves/old.parquet", encode(pa.table({"trial_id": ["a"]})), "here")


def test_a_newer_schema_is_refused_and_not_called_damage() -> None:
    data = encode(pa.table({"trial_id": ["a"], "schema_version": [99]}))
    with pytest.raises(InputError, match="here"):
        decode("trials/new.parquet", data, "here")


def test_of_rows_with_one_key_the_first_counts() -> None:
    whole = joined([curve(("a", 1, 1.0), ("a", 2, 2.0)), curve(("a", 1, 9.0), ("b", 1, 3.0))], "curves")
    assert whole.column("train_loss").to_pylist() == [1.0, 2.0, 3.0]
    assert joined([], "curves").num_rows == 0
