"""Which base HPs and which precision hold: those asked for, else those of the results folder, else the study's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.drive.request import Request, read_base_file
from hptransfer.drive.settle import existing_store, settled_by, stored_base, stored_precision
from hptransfer.store.store import Store
from hptransfer.study.base import BaseHPs, TunedBase
from hptransfer.study.file import dump_study, study_of, with_overrides

STUDY = study_of({"name": "s", "data": {"source": "synthetic", "max_bytes": 20_000}, "base": {"lr": 0.125}})


def request(folder: Path, **changes: Any) -> Request:
    return Request(STUDY, str(folder), **changes)


def test_without_a_folder_the_study_has_its_own_base_in_fp32(tmp_path: Path) -> None:
    asked = request(tmp_path / "none")
    assert existing_store(asked) is None
    settled, base, source = settled_by(asked, None)
    assert (settled.hps.lr, settled.precision, base.tuned) == (0.125, "fp32", False)
    assert source == "base of the study file, not tuned"
    assert settled.data_id == asked.data_id


def test_a_tuned_base_of_the_folder_holds_and_an_untuned_one_does_not(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), "s")
    store.write_json("base.json", TunedBase(BaseHPs(lr=0.5), {"warmup": 0.25}, trials=9).document())
    settled, base, source = settled_by(request(tmp_path), store)
    assert (settled.hps.lr, settled.study.training.warmup, base.trials) == (0.5, 0.25, 9)
    assert source == "base.json of the results folder"
    store.write_json("base.json", TunedBase.untuned(BaseHPs(lr=0.5)).document())
    assert stored_base(request(tmp_path), store)[0].hps.lr == 0.125


def test_a_base_that_was_given_comes_before_all(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), "s")
    store.write_json("base.json", TunedBase(BaseHPs(lr=0.5), trials=9).document())
    (tmp_path / "given.json").write_text(json.dumps({"lr": 2.0**-5, "init_std": 0.25}))
    given = read_base_file(tmp_path / "given.json")
    settled, base, source = settled_by(request(tmp_path, base=given), store)
    assert (settled.hps.lr, settled.hps.init_std, base.tuned, source) == (2.0**-5, 0.25, True, "--base")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"lr": 0.1}', "init_std must be numbers"),
        ('{"lr": -1, "init_std": 0.1}', "lr: is out of range"),
    ],
)
def test_a_bad_base_file_is_refused_by_its_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "given.json").write_text(text)
    with pytest.raises(InputError, match=rf"given\.json.*{words}"):
        read_base_file(tmp_path / "given.json")


def test_the_precision_is_the_studys_own_or_that_of_the_stored_study(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), "s")
    assert stored_precision(STUDY, store) is None
    store.write_text("study.yaml", dump_study(with_overrides(STUDY, {"training.precision": "bf16"})))
    assert stored_precision(STUDY, store) == "bf16"
    assert stored_precision(with_overrides(STUDY, {"training.precision": "fp32"}), store) == "fp32"
    store.write_text("study.yaml", "{")
    with pytest.raises(InputError, match=r"study\.yaml.*training\.precision=fp32"):
        stored_precision(STUDY, store)
