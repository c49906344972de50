"""The columns of a row: what fills them, how they are documented, and how an older row reads."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pyarrow as pa
import pytest
from stored_rows import a_trial, an_outcome, fill

from hptransfer.common.errors import InputError
from hptransfer.store.columns import BEFORE, CURVE_SCHEMA, SCHEMA, SCHEMA_VERSION, refuse_newer, row_of, upgrade
from hptransfer.store.store import Store
from hptransfer.study.pieces import SparsitySpec, TrainingSpec

ROOT = Path(__file__).parents[2]


def test_the_schema_is_documented() -> None:
    page = (ROOT / "docs" / "results-schema.md").read_text(encoding="utf-8")
    assert f"Version {SCHEMA_VERSION}." in page
    for field in SCHEMA:
        assert f"| `{field.name}` |" in page
        assert field.metadata[b"description"]
    assert pa.types.is_float64(SCHEMA.field("loss").type)


def test_a_run_that_did_not_diverge_has_no_diverged_step(tmp_path: Path) -> None:
    fill(store := Store.open(str(tmp_path), "s"), range(1))
    frame = store.read()
    assert str(frame["diverged_step"].dtype) == "Int64"
    assert frame["diverged_step"].isna().all()


OUTSIDE = """\
class Lion:
    version = "3"
    table = moments = numbers = update = torch_optimizer = None

class Reversed:
    unit = open = model_arguments = batch = held_out = inputs = loss = chance = tokens = None
"""


def test_a_row_names_every_entry_from_outside_and_what_it_is_known_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside_of_columns.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    lion, task = "outside_of_columns:Lion", "outside_of_columns:Reversed"
    trial = a_trial(task=task, training=TrainingSpec(precision="fp32", optimizer=lion), axes={"dropout": 0.25})
    row = row_of("s", "grid", trial, an_outcome(trial))
    assert (row["task"], row["trainer"], row["optimizer"], row["sparsity_method"]) == (task, "packs", lion, "static")
    assert json.loads(row["axes"]) == {"dropout": 0.25}
    entries = json.loads(row["entries"])
    assert entries[lion] == "version 3"
    assert entries[task].startswith("source ")
    assert len(entries[task]) == len("source ") + 16


def test_a_row_of_built_in_entries_names_none_from_outside() -> None:
    trial = a_trial(sparsity=SparsitySpec(kind="row"))
    row = row_of("s", "grid", trial, an_outcome(trial))
    assert (row["task"], row["axes"], row["entries"]) == ("language", "{}", "{}")


def test_an_outcome_of_another_trial_is_refused() -> None:
    with pytest.raises(ValueError, match="handed in for trial"):
        row_of("s", "grid", a_trial(0), an_outcome(a_trial(1)))


def test_what_an_older_row_lacks_reads_as_what_it_was() -> None:
    table = upgrade(pa.table({"trial_id": ["a", "b"], "width": pa.array([64, 128], pa.int32())}), SCHEMA)
    assert table.column_names == SCHEMA.names
    first = table.slice(0, 1).to_pylist()[0]
    read = {name: first[name] for name in BEFORE}
    assert read == {
        "schema_version": 0,
        "task": "language",
        "trainer": "packs",
        "sparsity_method": "static",
        "axes": "{}",
        "entries": "{}",
        "lr_embedding": 1.0,
        "lr_readout": 1.0,
        "lr_vector": 1.0,
    }
    assert (first["width"], first["rule"], first["seed"]) == (64, "", None)
    assert math.isnan(first["loss"])


def test_rows_of_a_later_schema_are_refused_and_no_others() -> None:
    refused, said = [], []
    for version in (None, 0, 1, 2, 3, "3", "spring", 4, 99, "99", 99.0):
        try:
            refuse_newer(version, "here")
        except InputError as error:
            refused.append(version)
            said.append(str(error))
    assert all(re.search(r"here: was written by a newer hptransfer.*upgrade", words) for words in said)
    assert refused == [4, 99, "99", 99.0]


def test_losses_are_in_the_tasks_unit() -> None:
    for schema, name in ((SCHEMA, "loss"), (SCHEMA, "train_loss"), (CURVE_SCHEMA, "validation_loss")):
        assert b"in the task's unit (nats per token for `language`)" in schema.field(name).metadata[b"description"]
