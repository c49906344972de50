"""The store: nothing is lost, nothing is counted twice, damage is noticed and named."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from stored_rows import a_trial, an_outcome, fill

import hptransfer.store.store as store_module
from hptransfer.common.errors import InputError, WorkError
from hptransfer.store.columns import SCHEMA, SCHEMA_VERSION, curves_of, row_of
from hptransfer.store.read_results import read_results
from hptransfer.store.store import Store


def test_a_row_comes_back_as_it_was_stored(uri: str) -> None:
    trial = a_trial(3, variant="wide")
    diverged = an_outcome(trial, status="diverged", loss=math.nan, diverged_step=17, tokens=17 * 16 * 64)
    store = Store.open(uri, "s")
    with store.lock():
        store.append([row_of("s", "tune", trial, diverged)], curves_of(diverged))
    (row,) = Store.open(uri, "s", create=False).read().to_dict("records")
    assert list(row) == SCHEMA.names
    expected = {"schema_version": SCHEMA_VERSION, "study": "s", "phase": "tune", "trial_id": trial.id, "rule": "supar"}
    expected |= {"variant": "wide", "optimizer": "adamw", "model": "gpt", "width": 128, "density": 0.25, "seed": 3}
    expected |= {"sparsity_kind": "random", "lr": 2.0**-6, "init_std": 0.05, "steps": 200, "tokens": 17408}
    expected |= {"status": "diverged", "diverged_step": 17, "params_nonzero": 400, "peak_memory_bytes": 2**20}
    assert {key: row[key] for key in expected} == expected
    assert math.isnan(row["loss"])
    assert row["train_loss"] == 2.25
    assert "torch" in json.loads(row["versions"])
    assert row["finished_at"].tzinfo is not None
    points = store.read_curves()
    assert points["step"].tolist() == [0, 100]
    assert points["train_loss"].tolist() == [5.5, 3.0]
    assert math.isnan(points["validation_loss"][1])


def test_an_empty_store_reads_as_an_empty_frame_with_every_column(uri: str) -> None:
    store = Store.open(uri, "s")
    assert store.ids() == set()
    assert list(store.read().columns) == SCHEMA.names
    assert store.read_curves().empty


def test_duplicates_fall_together_and_the_first_stays(uri: str) -> None:
    store = Store.open(uri, "s")
    trial = a_trial()
    for loss in (1.0, 2.0):
        outcome = an_outcome(trial, loss=loss)
        with store.lock():
            store.append([row_of("s", "grid", trial, outcome)], curves_of(outcome))
    assert len(store.names("trials")) == 2
    assert store.read()["loss"].tolist() == [1.0]
    assert len(store.read_curves()) == 2


def test_reading_is_one_call(uri: str) -> None:
    fill(Store.open(uri, "s"), range(3))
    assert sorted(read_results(uri)["seed"]) == [0, 1, 2]


def test_a_results_folder_of_another_study_is_refused(uri: str) -> None:
    fill(Store.open(uri, "s"), range(1))
    with pytest.raises(InputError, match="belongs to another study; found 's'; allowed: other"):
        Store.open(uri, "other")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    trial = a_trial()
    with (store := Store.open(str(tmp_path), "s")).lock():
        newer = {"schema_version": SCHEMA_VERSION + 1}
        store.append([row_of("s", "grid", trial, an_outcome(trial)) | newer])
    with pytest.raises(InputError, match=r"newer hptransfer.*schema version 4.*up to 3"):
        Store.open(str(tmp_path), "s")


LATER_THAN_0 = ["variant", "sparsity_distribution", "schedule", "warmup", "products", "note", "peak_memory_bytes"]


def test_a_file_of_version_0_still_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before versions were written into the file it had fewer columns and a plain name."""
    fill(store := Store.open(str(tmp_path / "new"), "s"), range(2))
    old = store.table().drop_columns([*LATER_THAN_0, "schema_version"])
    folder = tmp_path / "old" / "trials"
    folder.mkdir(parents=True)
    pq.write_table(old, folder / "part-0.parquet")
    with pytest.raises(InputError, match="another study"):
        Store.open(str(tmp_path / "old"), "other")
    fill(both := Store.open(str(tmp_path / "old"), "s"), range(1, 3))
    frame = both.read().sort_values("seed")
    assert frame["seed"].tolist() == [0, 1, 2]
    assert frame["schedule"].tolist() == ["", "linear", "linear"]
    assert math.isnan(frame["warmup"].iloc[0])
    assert pd.isna(frame["peak_memory_bytes"].iloc[0])
    monkeypatch.setattr(store_module, "_MOST_PARTS", 1)
    with both.lock():
        pass
    assert len(both.names("trials")) == 1, "old parts merge with new ones"
    pd.testing.assert_frame_equal(both.read(), frame.sort_index())


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip_one_bit_of_the_data(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def flip_one_bit_of_the_footer(data: bytes) -> bytes:
    return data[:-200] + bytes([data[-200] ^ 4]) + data[-199:]


@pytest.mark.parametrize("damage", [truncate, flip_one_bit_of_the_data, flip_one_bit_of_the_footer, lambda data: b""])
def test_a_damaged_part_is_set_aside_named_and_only_its_trials_run_again(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    fill(Store.open(str(tmp_path), "s"), range(4))
    names = Store.open(str(tmp_path), "s").names("trials")
    part = tmp_path / names[1]
    others = [(tmp_path / name).read_bytes() for name in names if name != names[1]]
    part.write_bytes(damage(part.read_bytes()))  # type: ignore[operator]

    reader = Store.open(str(tmp_path), "s")
    with caplog.at_level(logging.WARNING, "hptransfer"):
        assert sorted(reader.read()["seed"]) == [0, 2, 3]
    assert part.name in caplog.text
    assert list(reader.damaged) == [names[1]]
    assert part.exists(), "a reader moves nothing"

    writer = Store.open(str(tmp_path), "s")
    with writer.lock():
        assert a_trial(1).id not in writer.ids()
    assert not part.exists()
    assert (tmp_path / "set-aside" / f"trials-{part.name}").exists()
    assert [(tmp_path / name).read_bytes() for name in writer.names("trials")] == others
    fill(writer, range(1, 2))
    assert sorted(writer.read()["seed"]) == [0, 1, 2, 3]


def test_only_the_holder_of_the_lock_appends(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lock"):
        Store.open(str(tmp_path), "s").append([])


WRITER = """
import sys
from hptransfer.store.store import Store
from hptransfer.store.columns import curves_of, row_of
from stored_rows import a_trial, an_outcome
store = Store.open(sys.argv[1], "s")
with store.lock():
    for seed in range(10_000):
        trial = a_trial(seed); outcome = an_outcome(trial)
        store.append([row_of("s", "grid", trial, outcome)], curves_of(outcome))
        if seed == 0:
            print("writing", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_whole_parts_and_a_free_lock(tmp_path: Path) -> None:
    results = tmp_path / "s"
    seen: dict[str, bytes] = {}
    for delay in (0.0, 0.013, 0.031):
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(results)], stdout=subprocess.PIPE, env=env)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        store = Store.open(str(results), "s")
        with store.lock():
            frame = store.read()
        assert not store.damaged
        assert frame["trial_id"].is_unique
        assert not list(results.rglob(".tmp-*"))
        assert set(store.read_curves()["trial_id"]) >= set(frame["trial_id"]), "a stored row always has its curve"
        for name, data in seen.items():
            assert (results / name).read_bytes() == data, "finished rows are untouched"
        seen = {name: (results / name).read_bytes() for name in store.names("trials")}
    assert seen


FULL = """
import resource, sys
from hptransfer.common.errors import WorkError
from hptransfer.store.store import Store
from hptransfer.store.columns import row_of
from stored_rows import a_trial, an_outcome
store = Store.open(sys.argv[1], "s")
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
with store.lock():
    try:
        trial = a_trial(99)
        store.append([row_of("s", "grid", trial, an_outcome(trial))])
    except WorkError as error:
        print(error)
"""


def test_a_full_disk_is_loud_and_the_store_stays_intact(tmp_path: Path) -> None:
    fill(Store.open(str(tmp_path), "s"), range(2))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.parquet")}
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    said = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], env=env, capture_output=True, text=True)
    assert "could not be written: a file grew too large" in said.stdout
    assert "make room and run again" in said.stdout
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.parquet")} == before
    assert not list(tmp_path.rglob(".tmp-*"))
    fill(store := Store.open(str(tmp_path), "s"), range(2, 3))
    assert len(store.read()) == 3


def test_a_part_that_does_not_read_back_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(str(tmp_path), "s")
    trial = a_trial()

    def lying_disk(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.ftruncate(handle, 10)

    monkeypatch.setattr(os, "fsync", lying_disk)
    with store.lock(), pytest.raises(WorkError, match="did not read back"):
        store.append([row_of("s", "grid", trial, an_outcome(trial))])
    monkeypatch.undo()
    assert store.names("trials") == []
    assert store.read().empty


def test_many_small_parts_are_merged_without_losing_a_row(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store := Store.open(uri, "s"), range(6))
    before = store.read()
    monkeypatch.setattr(store_module, "_MOST_PARTS", 5)
    with store.lock():
        pass
    assert len(store.names("trials")) == 1
    pd.testing.assert_frame_equal(store.read(), before)
    assert len(store.read_curves()) == 12
    fill(store, range(6, 14))
    assert len(store.names("trials")) == 4, "six merged, six merged while appending, two small ones"
    assert store.read()["seed"].tolist() == list(range(14)), "in the order of their making"


def test_json_documents_are_whole_and_strict(uri: str) -> None:
    store = Store.open(uri, "s")
    assert store.read_json("base.json") is None
    store.write_json("base.json", {"lr": 0.5, "loss": math.nan, "widths": (1, 2)})
    assert store.read_json("base.json") == {"lr": 0.5, "loss": None, "widths": [1, 2]}
    store.write_text("base.json", "{")
    with pytest.raises(InputError, match=r"base\.json: is not valid JSON"):
        store.read_json("base.json")


def test_the_parts_open_in_pandas_duckdb_and_polars(tmp_path: Path) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    fill(Store.open(str(tmp_path), "s"), range(3))
    pattern = str(tmp_path / "trials" / "*.parquet")
    assert sorted(pd.read_parquet(tmp_path / "trials")["loss"]) == [0.0, 1.0, 2.0]
    assert duckdb.sql(f"select max(loss) from '{pattern}'").fetchall() == [(2.0,)]
    assert polars.read_parquet(pattern)["loss"].max() == 2.0


def test_a_folder_to_be_kept_is_merged_into_one_part_a_kind(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "s"), "s")
    with store.lock():
        for seed in range(5):
            trial = a_trial(seed)
            store.append([row_of("s", "grid", trial, an_outcome(trial))], curves_of(an_outcome(trial)))
        before, curves = store.read(), store.read_curves()
        store.merge()
    assert [len(store.names(kind)) for kind in ("trials", "curves")] == [1, 1]
    pd.testing.assert_frame_equal(store.read(), before)
    pd.testing.assert_frame_equal(store.read_curves(), curves)
