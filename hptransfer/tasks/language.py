"""The task `language`: predict the next token at every place of a window of tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import DataSpec, TrainingSpec
from hptransfer.tasks.data.corpus import Corpus
from hptransfer.tasks.data.sources import open_corpus

__all__ = ["Language", "next_token_loss"]


class Language:
    """Batches are windows (B, T + 1) of tokens, the model maps (B, T) to logits (B, T, vocabulary)."""

    unit = "nats per token"

    def open(self, spec: DataSpec, expected: str = "") -> Corpus:
        """The corpus; the same object again while its files are unchanged."""
        return open_corpus(spec, expected)

    def model_arguments(self, data: Corpus, training: TrainingSpec) -> Mapping[str, int]:
        """Vocabulary and longest context."""
        return {"vocab_size": data.vocab_size, "context": training.sequence_length}

    def batch(self, data: Corpus, seed: int, step: int, training: TrainingSpec) -> Tensor:
        """Windows (B, T + 1), drawn by (seed, step)."""
        return data.batch(seed, step, training.batch_size, training.sequence_length)

    def held_out(self, data: Corpus, training: TrainingSpec) -> list[Tensor]:
        """Windows spread evenly over the held-out part."""
        return data.validation_batches(training.eval_tokens, training.batch_size, training.sequence_length)

    def inputs(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Every token but the last."""
        return (batch[:, :-1],)

    def loss(self, output: Any, batch: Tensor) -> Tensor:
        """Mean cross-entropy of the next token."""
        return next_token_loss(output, batch[:, 1:])

    def check_output(self, model: nn.Module, output: Any, batch: Tensor, data: Corpus) -> None:
        """One logit a token of the vocabulary at every place."""
        expected = (batch.shape[0], batch.shape[1] - 1, data.vocab_size)
        if not isinstance(output, Tensor) or tuple(output.shape) != expected:
            raise _wrong_output(output, f"{type(model).__name__} gave ", f" = {expected}")

    def chance(self, data: Corpus) -> float:
        """ln(vocabulary), the loss of a uniform guess."""
        return math.log(data.vocab_size)

    def tokens(self, training: TrainingSpec) -> int:
        """Tokens of a step."""
        return training.batch_size * training.sequence_length


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token, in fp32 whatever the logits are."""
    if not isinstance(logits, Tensor):
        raise _wrong_output(logits)
    return F.cross_entropy(logits.float().flatten(0, -2), targets.flatten())


def _wrong_output(output: object, who: str = "", sizes: str = "") -> InputError:
    found = str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__
    hint = ""
    if hasattr(output, "logits"):
        hint = "wrap the model and hand out its output's `.logits` (docs/mend-a-model.md)"
    elif isinstance(output, tuple | list | dict):
        hint = "return the logits alone"
    return InputError(
        "the model returns the wrong shape" if isinstance(output, Tensor) else "the model returns no tensor",
        where="model.factory",
        found=f"{who}{found}",
        allowed=f"logits of shape (batch, time, vocabulary){sizes}",
        hint=hint,
    )
