"""A lab's own tests: each of its entries keeps the promises of its seam."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hptransfer.execute.base import Launch
from hptransfer.study.pieces import DataSpec, ModelSpec
from hptransfer.testing import (
    check_axis,
    check_executor,
    check_method,
    check_observer,
    check_optimizer,
    check_task,
    check_trainer,
)
from hptransfer.testing.small import SETTINGS


def test_the_optimizer() -> None:
    check_optimizer("outside_lab.optimizer:Lion")


def test_the_task() -> None:
    data, model = DataSpec(options={"symbols": 4}), ModelSpec(factory="outside_lab.model:build")
    check_task("outside_lab.task:Parity", data, model)


def test_the_sparsity_method() -> None:
    check_method("outside_lab.method:Band")


def test_the_axis() -> None:
    check_axis("outside_lab.axis:Temperature")


def test_the_trainer() -> None:
    check_trainer("outside_lab.trainer:train")


def test_the_executor() -> None:
    here = str(Path(__file__).parent)
    settings = replace(SETTINGS, sys_path=(here,))
    check_executor("outside_lab.executor:Subprocesses", Launch(settings, workers=2))


def test_the_observer() -> None:
    check_observer("outside_lab.observer:JsonLines")
