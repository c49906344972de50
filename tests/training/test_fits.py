"""One forward pass on two examples tells whether a model fits its task."""

from __future__ import annotations

import pytest
import torch
from small_trials import small_trial
from users_models import Plain

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import ModelSpec
from hptransfer.training.fits import refuse_unfit


def trial_of(name: str, **changes: object):
    return small_trial(model=ModelSpec(factory=f"users_models:{name}"), **changes)


def test_two_examples_of_the_trials_own_batch_are_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = Plain.forward
    monkeypatch.setattr(Plain, "forward", lambda self, x: seen.append((x.shape, self.training)) or forward(self, x))
    refuse_unfit(trial_of("Plain"))
    assert seen == [(torch.Size([2, 16]), False)]


def test_the_refusal_says_what_was_handed_in_and_what_was_raised() -> None:
    with pytest.raises(InputError, match=r"Picture raised RuntimeError: .*a forward that takes int64 \(2, 16\)"):
        refuse_unfit(trial_of("Picture"))


def test_a_model_that_ships_is_not_even_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hptransfer.training.fits.build_model", lambda *a, **k: pytest.fail("built"))
    refuse_unfit(small_trial())
    refuse_unfit(trial_of("Picture", trainer="users_trainers:bowl"))
