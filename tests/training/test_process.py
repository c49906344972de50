"""Settings of a worker process as a whole."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_trials import EAGER

from hptransfer.common.errors import InputError
from hptransfer.training.process import device_name, device_of, peak_memory, prepare_process, workers_here

CPU = torch.device("cpu")


def test_a_worker_knows_where_the_users_modules_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for _ in range(2):
        assert prepare_process(replace(EAGER, sys_path=(str(tmp_path), "second"))) == CPU
    assert sys.path[:2] == [str(tmp_path), "second"]
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"--device: there is no GPU here.*allowed: auto, cpu"):
        device_of(replace(EAGER, device="cuda"))
    assert device_of(replace(EAGER, device="auto")) == CPU


def test_a_cpu_has_a_worker_per_so_many_threads() -> None:
    assert workers_here(replace(EAGER, threads=10_000)) == 1
    assert workers_here(EAGER) >= 1


def test_rows_say_where_and_with_how_much_memory() -> None:
    assert device_name(CPU) == "cpu"
    assert peak_memory(CPU) > 2**20
