"""Batches: what they depend on, what a held-out part scores, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hptransfer.common.errors import InputError
from hptransfer.tasks.data.corpus import Corpus


def counted(length: int, vocab_size: int = 256) -> Corpus:
    """Token i is i mod 256, so a window shows where it was cut."""
    tokens = (np.arange(length) % 256).astype(np.uint8)
    return Corpus("counted", vocab_size, tokens, tokens)


def test_a_batch_holds_whole_windows_of_the_training_part() -> None:
    batch = counted(1000).batch(seed=0, step=0, batch_size=4, sequence_length=10)
    assert batch.shape == (4, 11)
    assert batch.dtype == torch.int64
    assert torch.equal((batch[:, 1:] - batch[:, :-1]) % 256, torch.ones(4, 10, dtype=torch.int64))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 10**9))
def test_the_batch_stream_depends_on_seed_and_step_alone(seed: int, step: int) -> None:
    corpus = counted(100_000)
    first = corpus.batch(seed, step, 8, 4)
    corpus.batch(seed + 1, step + 5, 8, 4)
    assert torch.equal(corpus.batch(seed, step, 8, 4), first)
    assert not torch.equal(corpus.batch(seed, step + 1, 8, 4), first)
    assert not torch.equal(corpus.batch(seed + 1, step, 8, 4), first)


def test_the_stream_is_pinned_so_that_stored_trials_stay_comparable() -> None:
    assert counted(1000).batch(0, 0, 4, 2)[:, 0].tolist() == [1, 42, 135, 100]


def test_every_window_is_reachable_and_about_equally_likely() -> None:
    corpus = counted(12)  # windows of 2 + 1 tokens start at 0 … 9
    starts = torch.cat([corpus.batch(1, step, 100, 2)[:, 0] for step in range(100)])
    counts = torch.bincount(starts, minlength=10)
    assert counts.shape == (10,)
    assert abs(counts - 1000).max() < 150


def test_held_out_batches_are_fixed_and_spread_over_the_whole_part() -> None:
    corpus = counted(240)
    batches = corpus.validation_batches(tokens=60, batch_size=3, sequence_length=10)
    assert [tuple(b.shape) for b in batches] == [(3, 11), (3, 11)]
    assert torch.cat(batches)[:, 0].tolist() == [0, 45, 91, 137, 183, 229]
    assert all(map(torch.equal, batches, corpus.validation_batches(60, 3, 10)))


def test_no_more_is_scored_than_the_held_out_part_holds() -> None:
    assert len(counted(240).validation_batches(tokens=10**9, batch_size=3, sequence_length=10)) == 8
    assert len(counted(20).validation_batches(tokens=1, batch_size=3, sequence_length=10)) == 1


def test_a_sequence_longer_than_the_data_is_refused() -> None:
    corpus = counted(20)
    assert corpus.batch(0, 0, 1, 19).tolist() == [list(range(20))]
    with pytest.raises(InputError, match="at most 19, as the training part holds 20 tokens"):
        corpus.batch(0, 0, 1, 20)
    with pytest.raises(InputError, match="held-out"):
        corpus.validation_batches(1, 1, 20)
