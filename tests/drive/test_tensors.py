"""tensors.json: the scale tables of the grid's corner, written once, and never fatal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hptransfer.drive.load_study import validate_study
from hptransfer.drive.tensors import store_tensors
from hptransfer.store.file_names import TENSORS_FILE
from hptransfer.store.store import Store
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.trials.settled import Settled

GRID = {"rules": ["sp", "supar"], "widths": [16, 32], "densities": [1, 0.25]}


MODEL = """
from pathlib import Path
from torch import nn

def build(width):
    if not Path(__file__).with_name("mended").exists():
        raise KeyError("no such layer")
    return nn.Sequential(nn.Embedding(64, width), nn.Linear(width, width), nn.Linear(width, 64))
"""


def settled(**changes: Any) -> Settled:
    tree = {
        "name": "tiny",
        "model": {"options": {"head_size": 16}},
        "data": {"source": "synthetic", "max_bytes": 20_000},
        "base": {"width": 16, "depth": 1, "lr": 0.25},
        "grid": GRID,
    }
    study = validate_study(tree | changes)
    return Settled(study, study.base.hps, "fp32", open_corpus(study.data).fingerprint)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path), "tiny")


def test_every_rule_says_what_it_does_to_every_tensor_of_the_corner(store: Store) -> None:
    store_tensors(settled(), store)
    found = store.read_json(TENSORS_FILE)
    assert (found["width"], found["density"], found["depth"]) == (32, 0.25, 1)
    assert list(found["rules"]) == ["sp", "supar"]
    assert all(
        {"name", "role", "lr", "init_std", "source"} <= set(row) for rows in found["rules"].values() for row in rows
    )
    lrs = {rule: {row["lr"] for row in rows if row["role"] == "hidden"} for rule, rows in found["rules"].items()}
    assert lrs == {"sp": {0.25}, "supar": {0.25 * 16 / 32 / 0.25}}


def test_what_is_there_already_is_not_written_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store_tensors(settled(), store)
    monkeypatch.setattr("hptransfer.drive.tensors.explain_rows", lambda target: pytest.fail("explained again"))
    store_tensors(settled(), store)


def test_another_base_lr_is_another_table(store: Store) -> None:
    store_tensors(settled(), store)
    store_tensors(settled().with_hps({"lr": 0.5}), store)
    assert {row["lr"] for row in store.read_json(TENSORS_FILE)["rules"]["sp"]} >= {0.5}


def test_a_model_that_cannot_be_built_is_told_and_skipped(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    store_tensors(settled(model={"factory": "broken_model:build"}), store)
    assert "what supar does to each tensor: 'no such layer'" in capsys.readouterr().err
    assert store.read_json(TENSORS_FILE)["rules"] == {}
    (tmp_path / "mended").touch()
    store_tensors(settled(model={"factory": "broken_model:build"}), store)
    assert list(store.read_json(TENSORS_FILE)["rules"]) == ["sp", "supar"]


def test_a_trainer_of_ones_own_builds_what_it_alone_knows(store: Store) -> None:
    store_tensors(settled(trainer="no_such_package:train"), store)
    found = store.read_json(TENSORS_FILE)
    assert (found["unit"], found["rules"]) == ("nats per token", {})


def test_the_unit_is_the_tasks_own_and_is_added_to_a_table_that_lacks_it(store: Store) -> None:
    store_tensors(settled(), store)
    found = store.read_json(TENSORS_FILE)
    assert found.pop("unit") == "nats per token"
    store.write_json(TENSORS_FILE, found)
    store_tensors(settled(), store)
    assert store.read_json(TENSORS_FILE) == {"unit": "nats per token", **found}
