"""Checkpoints are a convenience: one that is broken or cannot be written stops nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_trials import EAGER, outcome_of, small_trial

from hptransfer.training.checkpoint import Checkpoints


def test_a_broken_checkpoint_is_left_aside(tmp_path: Path) -> None:
    trial = small_trial()
    (tmp_path / f"{trial.id}.safetensors").write_bytes(b"not a checkpoint")
    assert outcome_of(trial, replace(EAGER, checkpoint_dir=str(tmp_path))).loss == outcome_of(trial).loss


def test_where_checkpoints_cannot_be_written_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    nowhere = replace(EAGER, checkpoint_dir=str(tmp_path / "file" / "checkpoints"), checkpoint_every_s=0.0)
    assert outcome_of(small_trial(), nowhere).loss == outcome_of(small_trial()).loss
    assert capsys.readouterr().err.count("no checkpoints from here on") == 1


def test_a_checkpoint_is_read_back_for_its_own_layout_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    tensors = {"a": torch.arange(3), "b": torch.tensor(True)}
    checkpoints.write("one", tensors, "layout")
    found = checkpoints.read("one", "layout")
    assert found is not None
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert checkpoints.read("one", "another layout") is None
    assert checkpoints.read("two", "layout") is None
    checkpoints.remove("one")
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nothing_is_written_or_found() -> None:
    nowhere = Checkpoints(None)
    nowhere.write("one", {"a": torch.ones(1)}, "layout")
    assert nowhere.read("one", "layout") is None
