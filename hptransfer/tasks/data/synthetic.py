"""A seeded Markov source whose entropy rate is known, so that a test knows the least possible loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptransfer.common.errors import InputError
from hptransfer.tasks.data.corpus import raw_stream

__all__ = ["MarkovSource"]

MOST_ENTRIES = 2**22
CHAINS = 256
Floats = NDArray[np.float64]


def _uniform(seed: int, block: int, count: int) -> Floats:
    """Uniform numbers in [0, 1) of 53 bits."""
    return np.asarray((raw_stream(seed, block, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


@dataclass(frozen=True)
class MarkovSource:
    """Tokens where each depends on the `order` tokens before it; the transition table is drawn from `seed`.

    Order 0 is a stream of independent tokens. Every number comes from additions, multiplications and divisions in a
    fixed order, so that two machines agree to the last bit.
    """

    vocab_size: int
    order: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.vocab_size ** (self.order + 1) > MOST_ENTRIES:
            raise InputError(
                f"a synthetic source of order {self.order} over {self.vocab_size} tokens has too large a table",
                where="data.vocab_size",
                found=self.vocab_size,
                allowed=f"vocab_size ** (synthetic_order + 1) at most {MOST_ENTRIES}",
            )

    def transitions(self) -> Floats:
        """Probability of the next token, a row per context: shape `[vocab_size ** order, vocab_size]`."""
        contexts = self.vocab_size**self.order
        uniform = _uniform(self.seed, 0, contexts * self.vocab_size).reshape(contexts, self.vocab_size)
        # A few heavy tokens per row: the entropy rate lies well below log(vocab_size), so there is much to learn.
        weight = 1.0 / (0.02 + uniform)
        weight = weight * weight
        # The last entry of a running sum, not `sum`: its order of additions is fixed.
        total = np.cumsum(weight, axis=1)[:, -1:]
        return np.asarray(weight / total)

    def stationary(self) -> Floats:
        """Long-run probability of each context, by power iteration (every entry of the table is above zero)."""
        table, size = self.transitions(), self.vocab_size
        chance = np.full(len(table), 1.0 / len(table))
        if self.order == 0:
            return chance
        for _ in range(10_000):
            joint = (chance[:, None] * table).reshape(size, -1, size)
            after = joint.sum(axis=0).reshape(-1)
            if np.abs(after - chance).max() < 1e-15:
                break
            chance = after
        return np.asarray(chance / chance.sum())

    def entropy_rate(self) -> float:
        """Entropy of the next token given its context, in nats: the least loss a model can reach.

        In a window of tokens the first `order − 1` predictions see less than their context, so for orders above 1 a
        model's own best lies a little higher.
        """
        table = self.transitions()
        return float(-(self.stationary()[:, None] * table * np.log(table)).sum())

    def sample(self, count: int) -> NDArray[np.uint32]:
        """The first `count` tokens: `CHAINS` stretches drawn side by side, each started from a random context."""
        steps = -(-count // CHAINS)
        warm = 32
        table = np.cumsum(self.transitions(), axis=1)
        table[:, -1] = 1.0
        context = (_uniform(self.seed, 1, CHAINS) * len(table)).astype(np.int64)
        uniform = _uniform(self.seed, 2, (warm + steps) * CHAINS).reshape(warm + steps, CHAINS)
        tokens = np.empty((warm + steps, CHAINS), dtype=np.uint32)
        for step in range(warm + steps):
            drawn = (table[context] <= uniform[step][:, None]).sum(axis=1)
            tokens[step] = drawn
            context = (context * self.vocab_size + drawn) % len(table)
        return np.ascontiguousarray(tokens[warm:].T.reshape(-1)[:count])
