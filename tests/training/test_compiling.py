"""The compiled step comes to the eager numbers, and one program serves every trial of its shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_trials import EAGER, outcome_of, small_trial

from hptransfer.study.pieces import ModelSpec
from hptransfer.training import compiling, program_cache
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs

MLP = ModelSpec(factory="mlp")


@pytest.mark.slow
def test_one_compiled_program_serves_trials_that_differ_in_everything_but_shape(tmp_path: Path) -> None:
    forget_programs()
    compiled = replace(EAGER, compile="always", cache_dir=str(tmp_path))
    trials = [
        small_trial(2.0**-8, model=MLP),
        small_trial(2.0**-6, model=MLP, seed=1, rule="mup", base={"init_std": 0.02, "alpha_output": 2.0}),
        small_trial(2.0**-7, model=MLP, density=0.25, training={"beta1": 0.8, "warmup": 0.3, "clip": 0.5}),
    ]
    fast = list(train_pack(trials, compiled))
    assert len(program_cache._programs) == 1
    assert [o.note for o in fast] == ["", "", ""]
    for trial, outcome in zip(trials, fast, strict=True):
        assert outcome.loss == pytest.approx(outcome_of(trial).loss, abs=1e-5)
    forget_programs()
    assert [o.loss for o in train_pack(trials, compiled)] == [o.loss for o in fast]  # loaded from disk, bit for bit
    forget_programs()


def test_where_no_compiler_works_training_is_eager_and_the_outcome_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler on this machine")

    monkeypatch.setattr(compiling, "_inductor", broken)
    monkeypatch.setattr(compiling, "SMALL_FLOPS", 0.0)
    forget_programs()
    outcome = outcome_of(small_trial(), replace(EAGER, compile="auto"))
    forget_programs()
    assert "not compiled (RuntimeError: no compiler on this machine)" in outcome.note
    assert outcome.loss == outcome_of(small_trial()).loss


def test_a_tiny_trial_is_not_worth_a_compiler() -> None:
    settings = replace(EAGER, compile="auto")
    assert not compiling.worth_compiling(settings, 1e9)
    assert compiling.worth_compiling(settings, 1e12)
    assert not compiling.worth_compiling(EAGER, 1e12)
