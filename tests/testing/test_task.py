"""Every task that ships keeps its promises, and the suite finds the ones that do not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from broken import broken_rule
from torch import Tensor, nn

from hptransfer.common.seams import TASKS
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.tasks.data.corpus import Corpus
from hptransfer.tasks.language import Language
from hptransfer.testing import check_task

DATA = {"language": DataSpec(source="synthetic", vocab_size=16)}
"""What each task is tried on; a new task has its line here."""
MODEL = {"language": ModelSpec(options={"head_size": 8})}


def check(task: object) -> None:
    """The suite on language's own data and model."""
    check_task(task, DATA["language"], MODEL["language"])


@pytest.mark.parametrize("name", TASKS.built_in)
def test_what_ships_keeps_its_promises(name: str) -> None:
    check_task(name, DATA[name], MODEL[name])


def test_language_does_so_with_the_other_model_too() -> None:
    check_task("language", DATA["language"], ModelSpec(factory="mlp"))


class Unstable(Language):
    opened = 0

    def open(self, spec: DataSpec, expected: str = "") -> Corpus:
        self.opened += 1
        found = super().open(spec)
        return Corpus(f"{found.fingerprint}-{self.opened}", found.vocab_size, found.train, found.validation)


class Trusting(Language):
    def open(self, spec: DataSpec, expected: str = "") -> Corpus:
        return super().open(spec)


class Global(Language):
    def batch(self, data: Corpus, seed: int, step: int, training: TrainingSpec) -> Tensor:
        return torch.randint(0, 16, (training.batch_size, training.sequence_length + 1))


class Stuck(Language):
    def batch(self, data: Corpus, seed: int, step: int, training: TrainingSpec) -> Tensor:
        return super().batch(data, seed, 0, training)


class Transposed(Language):
    def batch(self, data: Corpus, seed: int, step: int, training: TrainingSpec) -> Tensor:
        return super().batch(data, seed, step, training).T


class Stretching(Language):
    def batch(self, data: Corpus, seed: int, step: int, training: TrainingSpec) -> Tensor:
        return super().batch(data, seed, step, training)[:, : 8 - step % 2]


class Ragged(Language):
    def held_out(self, data: Corpus, training: TrainingSpec) -> list[Tensor]:
        first, *rest = super().held_out(data, training)
        return [first[:1], *rest]


class Unscored(Language):
    def held_out(self, data: Corpus, training: TrainingSpec) -> list[Tensor]:
        return []


class Greedy(Language):
    def inputs(self, batch: Tensor) -> tuple[Tensor, ...]:
        return (batch,)


class Lenient(Language):
    def check_output(self, model: nn.Module, output: Any, batch: Tensor, data: Corpus) -> None:
        return None


class Summing(Language):
    def loss(self, output: Any, batch: Tensor) -> Tensor:
        return super().loss(output, batch) * len(batch)


class Half(Language):
    def loss(self, output: Any, batch: Tensor) -> Tensor:
        return super().loss(output, batch).bfloat16()


class Deaf(Language):
    def loss(self, output: Any, batch: Tensor) -> Tensor:
        return super().loss(output * 0, batch)


class Hopeful(Language):
    def chance(self, data: Corpus) -> float:
        return math.log(data.vocab_size) / 2


class Weightless(Language):
    def tokens(self, training: TrainingSpec) -> int:
        return 0


def test_held_out_batches_may_differ_in_size() -> None:
    check(Ragged)


@pytest.mark.parametrize(
    ("task", "rule", "found"),
    [
        (Unstable, "the same when the data is opened again", "at first, then"),
        (Trusting, "`open` refuses", "although another fingerprint was expected"),
        (Global, "depends on (seed, step) alone", "global random generator"),
        (Stuck, "depends on (seed, step) alone", "(3, 5) and (3, 6) give the same batch"),
        (Transposed, "has `batch_size` examples in its first dimension", "a tensor (9, 4)"),
        (Unscored, "at least one", "no batch"),
        (Stretching, "of one size at every step", "[4, 7]"),
        (Greedy, "`check_output` has nothing against its output", "IndexError"),
        (Lenient, "`check_output` refuses", "a text was taken for an output"),
        (Summing, "is the mean of the losses of its parts", "for two halves"),
        (Half, "`loss` is one finite fp32 number", "torch.bfloat16"),
        (Deaf, "with a gradient for the model", "no parameter has a gradient"),
        (Hopeful, "has the loss that `chance` says", "chance 1.3863, the loss of silence 2.7726"),
        (Weightless, "`tokens` is a whole number above 0", "0"),
    ],
)
def test_a_broken_one_is_told_which_rule_it_breaks(task: type[Language], rule: str, found: str) -> None:
    error = broken_rule(lambda: check(task), __file__)
    assert rule in error.rule
    assert found in error.found
