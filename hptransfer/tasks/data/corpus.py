"""A corpus: two token arrays, a fingerprint, and the batches drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hptransfer.common.errors import InputError

__all__ = ["Corpus", "Tokens", "raw_stream"]

Tokens = NDArray[Any]
"""One-dimensional array of unsigned integers; often a memory map."""


def raw_stream(seed: int, block: int, count: int) -> NDArray[np.uint64]:
    """`count` random 64-bit words that depend on (seed, block) alone.

    Philox is counter-based, so every block is reached in constant time and two blocks never overlap. Raw words are
    used, not `Generator.integers`, because NumPy promises never to change them.
    """
    words: NDArray[np.uint64] = np.random.Philox(key=seed, counter=block << 128).random_raw(count)
    return words


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokens to train on and tokens held out.

    `entropy` is the least loss any model can reach, in nats per token, where it is known (synthetic sources).
    """

    fingerprint: str
    vocab_size: int
    train: Tokens
    validation: Tokens
    entropy: float | None = None

    def batch(self, seed: int, step: int, batch_size: int, sequence_length: int) -> torch.Tensor:
        """Batch of training windows `[batch_size, sequence_length + 1]` (int64): inputs `[:, :-1]`, targets `[:, 1:]`.

        Depends on (seed, step) and the two sizes alone: not on earlier calls, the process or the host.
        """
        positions = self._positions(self.train, sequence_length, "training")
        starts = raw_stream(seed, step, batch_size) % np.uint64(positions)
        return self._windows(self.train, starts.astype(np.int64), sequence_length)

    def validation_batches(self, tokens: int, batch_size: int, sequence_length: int) -> list[torch.Tensor]:
        """Fixed held-out batches, each `[batch_size, sequence_length + 1]`, that score about `tokens` tokens.

        The windows lie evenly over the held-out part and do not overlap unless it is too short for one full batch.
        At least one batch; at most as many as the held-out part has full, separate batches.
        """
        positions = self._positions(self.validation, sequence_length, "held-out")
        scored = batch_size * sequence_length
        wanted = -(-tokens // scored)
        batches = max(1, min(wanted, len(self.validation) // scored))
        count = batches * batch_size
        starts = np.arange(count, dtype=np.int64) * (positions - 1) // max(1, count - 1)
        rows = self._windows(self.validation, starts, sequence_length)
        return [rows[first : first + batch_size] for first in range(0, count, batch_size)]

    def _positions(self, tokens: Tokens, sequence_length: int, part: str) -> int:
        positions = len(tokens) - sequence_length
        if positions < 1:
            raise InputError(
                f"a sequence of {sequence_length} tokens (and the one after it) is longer than the {part} data",
                where="training.sequence_length",
                found=sequence_length,
                allowed=f"at most {len(tokens) - 1}, as the {part} part holds {len(tokens)} tokens",
            )
        return positions

    def _windows(self, tokens: Tokens, starts: NDArray[np.int64], sequence_length: int) -> torch.Tensor:
        rows = sliding_window_view(tokens, sequence_length + 1)[starts].astype(np.int64)
        # A token file is checked by sample when opened; a stray id must not reach the embedding as an index error.
        if int(rows.max()) >= self.vocab_size:
            raise InputError(
                "a token lies outside the vocabulary",
                where="data.vocab_size",
                found=int(rows.max()),
                allowed=f"token ids below vocab_size = {self.vocab_size}",
                hint="set data.vocab_size and data.dtype to those of the tokenizer that wrote the file",
            )
        return torch.from_numpy(rows)
