"""The synthetic source has the entropy it claims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hptransfer.tasks.data.synthetic import MarkovSource


def test_two_even_coin_tosses_have_one_bit_of_entropy() -> None:
    """A hand-made check of the formula: order 0, the entropy of its single row."""
    source = MarkovSource(vocab_size=2, order=0)
    chance = source.transitions()[0]
    assert source.entropy_rate() == pytest.approx(-sum(p * math.log(p) for p in chance))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_stream_has_the_entropy_it_claims(order: int) -> None:
    source = MarkovSource(vocab_size=16, order=order, seed=5)
    stream = source.sample(200_000).astype(np.int64)
    table = source.transitions()
    context = np.zeros(len(stream) - order, dtype=np.int64)
    for back in range(order):
        context = context * 16 + stream[back : len(stream) - order + back]
    surprise = -np.log(table[context, stream[order:]])
    error = surprise.std() / math.sqrt(len(surprise))
    # The 256 joints between stretches cost up to 256 · order tokens of surprise at random: below 0.005 nats here.
    assert abs(surprise.mean() - source.entropy_rate()) < 4 * error + 0.005
    assert source.entropy_rate() < math.log(16) - 0.1
