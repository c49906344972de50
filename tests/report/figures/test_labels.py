"""How the loss and the hyperparameters are written."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from hptransfer.analysis.results import results_of
from hptransfer.common.number_text import percent_text
from hptransfer.report.figures.labels import base_label, file_name, full_name, interval_text, loss_label


@pytest.mark.parametrize(
    ("axis", "full", "base", "file"),
    [
        ("lr", "learning rate", "base learning rate", "lr"),
        ("init_std", "init std", "base init std", "init-std"),
        ("weight_decay", "weight decay", "base weight decay", "weight-decay"),
        ("mine.axes:GAIN", "GAIN", "GAIN", "GAIN"),
    ],
)
def test_a_swept_axis_is_called(axis: str, full: str, base: str, file: str) -> None:
    assert (full_name(axis), base_label(axis), file_name(axis)) == (full, base, file)


@pytest.mark.parametrize(
    ("frame", "study", "label"),
    [
        ({}, {"name": "x"}, "held-out loss (nats per token)"),
        ({}, {"task": "mine.tasks:Labels"}, "held-out loss"),
        ({"task": ["language"]}, None, "held-out loss (nats per token)"),
        ({"task": ["mine.tasks:Labels"]}, {"name": "x"}, "held-out loss"),
        ({"loss": [1.0]}, None, "held-out loss (nats per token)"),
    ],
    ids=["a study without a task", "an outside task", "rows alone", "rows of another task", "rows of version 1"],
)
def test_the_loss_of_language_is_in_nats_and_of_another_task_not(frame: dict, study: dict | None, label: str) -> None:
    assert loss_label(results_of(pd.DataFrame(frame), study=study)) == label


@pytest.mark.parametrize(("unit", "label"), [("squared error", "held-out loss (squared error)"), ("", "held-out loss")])
def test_the_loss_is_in_the_unit_that_the_run_stored(unit: str, label: str) -> None:
    rows = pd.DataFrame({"task": ["mine.tasks:Sines"]})
    assert loss_label(results_of(rows, tensors={"unit": unit, "rules": {}})) == label


def test_intervals() -> None:
    assert interval_text(0.001, 0.004, percent_text) == " (0.10% to 0.40%)"
    assert interval_text(0.001, math.inf, percent_text) == " (0.10% to unbounded)"
    assert interval_text(math.nan, 1.0, percent_text) == ""
