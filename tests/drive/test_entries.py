"""Rows of an entry whose source has changed since: what is told, and when nothing needs telling."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hptransfer.common import seams
from hptransfer.common.errors import InputError
from hptransfer.drive.entries import refuse_changed_sources
from hptransfer.store.columns import row_of
from hptransfer.store.store import Store
from hptransfer.study.file import study_of
from hptransfer.study.study import Study
from hptransfer.study.trial import Outcome, Trial
from hptransfer.trials.grid import trials_of
from hptransfer.trials.settled import Settled

AXIS = """
class Axis:
    name, label = "changing_axis:Axis", "an axis"
    {version}
    def at_base(self, base):
        return 1.0
    def put(self, trial, value):
        return trial.model_copy(update={{"training": trial.training.model_copy(update={{"eps": value * {scale}}})}})
"""
STUDY = study_of({"name": "s", "grid": {"sweep": {"changing_axis:Axis": {"multiples": [1, 2]}}, "seeds": 1}})

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write the axis anew and forget what a process would remember of it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> None:
        sys.modules.pop("changing_axis", None)
        seams.AXES.found.pop("changing_axis:Axis", None)
        seams.source_digest.cache_clear()
        importlib.invalidate_caches()

    def anew(scale: int = 1, version: str = "") -> None:
        forget()
        (tmp_path / "changing_axis.py").write_text(AXIS.format(scale=scale, version=version) + "#" * scale)

    yield anew
    forget()


def outcome(trial: Trial) -> Outcome:
    return Outcome(trial.id, "ok", 2.0, 2.0, None, 10, 10, 1.0, 1.0, trial.tokens, 0.1, 0, "cpu")


def store_rows(store: Store, study: Study = STUDY) -> int:
    trials = trials_of(Settled(study, study.base.hps, "fp32", "d"))
    with store.lock():
        store.append([row_of("s", "grid", trial, outcome(trial)) for trial in trials])
    return len(trials)


def test_a_changed_source_is_told_with_its_file_its_rows_and_what_to_do(write: Write, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "results"), "s")
    write()
    count = store_rows(store)
    refuse_changed_sources(STUDY, store)
    write(scale=2)
    with pytest.raises(InputError) as refused:
        refuse_changed_sources(STUDY, store)
    said = str(refused.value)
    assert f"changing_axis:Axis has changed since {count} stored trials" in said
    for word in (str(tmp_path / "changing_axis.py"), "found 'source ", "`version`", "--results", "--same-numbers"):
        assert word in said


def test_a_version_is_in_the_ids_so_that_nothing_is_mixed(write: Write, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "results"), "s")
    write(version="version = 1")
    store_rows(store)
    write(scale=2, version="version = 1")
    refuse_changed_sources(STUDY, store)
    write(scale=3, version="version = 2")
    refuse_changed_sources(STUDY, store)
    write()
    refuse_changed_sources(STUDY, store)
    ids = {trial.id for trial in trials_of(Settled(STUDY, STUDY.base.hps, "fp32", "d"))}
    assert not ids & store.ids()


def test_an_entry_that_one_rule_alone_names_is_looked_at_too(write: Write, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "results"), "s")
    write()
    store_rows(store)
    write(scale=2)
    own = study_of({"name": "s", "grid": {"by_rule": {"sp": {"model.factory": "changing_axis:Axis"}}}})
    with pytest.raises(InputError, match="changing_axis:Axis has changed"):
        refuse_changed_sources(own, store)


def test_an_entry_that_the_study_no_longer_names_may_change(write: Write, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "results"), "s")
    write()
    store_rows(store)
    write(scale=2)
    refuse_changed_sources(study_of({"name": "s"}), store)
    with pytest.raises(InputError, match="changing_axis:Axis has changed"):
        refuse_changed_sources(STUDY, store)


def test_a_folder_has_nothing_to_compare_before_its_first_rows(write: Write, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "results"), "s")
    write()
    refuse_changed_sources(STUDY, store)
    store_rows(store)
    refuse_changed_sources(STUDY, store)
    write(scale=2)
    with pytest.raises(InputError, match="changing_axis:Axis has changed"):
        refuse_changed_sources(STUDY, store)


def test_a_changed_model_is_told_like_any_other_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "def build(width, vocab_size):\n    raise ValueError({depth})\n"
    model, store = tmp_path / "changing_model.py", Store.open(str(tmp_path / "results"), "s")
    study = study_of({"name": "s", "model": {"factory": "changing_model:build"}, "grid": {"seeds": 1}})
    model.write_text(text.format(depth=2))
    store_rows(store, study)
    refuse_changed_sources(study, store)
    model.write_text(text.format(depth=3))
    seams.source_digest.cache_clear()
    with pytest.raises(InputError, match="changing_model:build has changed since 3 stored trials were run with it"):
        refuse_changed_sources(study, store)
    sys.modules.pop("changing_model")


def test_rows_from_before_models_were_entries_raise_no_alarm(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "results"), "s")
    study = study_of({"name": "s", "model": {"factory": "hptransfer.tasks.models.mlp:MLP"}, "grid": {"seeds": 1}})
    before, told = trials_of(Settled(study, study.base.hps, "fp32", "d"))[:2]
    with store.lock():
        store.append([row_of("s", "grid", before, outcome(before)) | {"entries": "{}"}])
        refuse_changed_sources(study, store)
        other = json.dumps({study.model.factory: "source 0123456789abcdef"})
        store.append([row_of("s", "grid", told, outcome(told)) | {"entries": other}])
    with pytest.raises(InputError, match="MLP has changed since 1 stored trials"):
        refuse_changed_sources(study, store)
