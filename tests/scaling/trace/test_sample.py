"""What a model is called with while it is traced."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from traced_models import STREAM, Untraceable

from hptransfer.common.errors import InputError
from hptransfer.scaling.trace.sample import Sample, guesses, sample_of
from hptransfer.scaling.trace.trace import trace_model


def test_a_sample_says_what_the_model_takes() -> None:
    tokens, mask = torch.zeros(5, 8, dtype=torch.long), torch.ones(5, 8, 1)
    assert "mask" in trace_model(Untraceable, 32, 2).failure
    for given in ((tokens, mask), {"tokens": tokens, "mask": mask}):
        assert trace_model(Untraceable, 32, 2, sample_of(given)).writers == STREAM
    with pytest.raises(InputError, match="sample: is what the model is called with; found 'str'"):
        sample_of("text")


transformers = pytest.importorskip("transformers")


def test_two_examples_of_a_batch_are_enough_and_equal_samples_are_equal() -> None:
    batch = torch.zeros(64, 3, 8)
    assert sample_of(batch) == sample_of(batch[:2]) == Sample((("", (2, 3, 8), "float32"),))
    assert sample_of((batch, torch.zeros(7))).arguments[0][1] == (64, 3, 8)  # no common number of examples


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 4)), [(1, 8)]),
        (nn.Linear(5, 4), [(1, 8), (1, 8, 5), (2, 5)]),
        (nn.Conv2d(3, 4, 3), [(1, 8), (2, 3, 32, 32)]),
        (nn.Conv1d(3, 4, 3), [(1, 8), (2, 3, 32)]),
        (nn.GRU(6, 4), [(1, 8), (1, 8, 6), (2, 6)]),
        (nn.BatchNorm1d(4), [(1, 8)]),
    ],
)
def test_token_ids_are_tried_first_then_what_the_first_layer_takes(model, sizes) -> None:
    assert [sample.arguments[0][1] for sample in guesses(model)] == sizes
