"""Growing heads in a study's trial: what scales their queries is what scales them in a hand loop."""

from __future__ import annotations

import pytest
import torch
from small_trials import outcome_of, small_trial

from hptransfer.common.errors import InputError
from hptransfer.scaling.parametrize import parametrize_target
from hptransfer.scaling.trace.sample import sample_of
from hptransfer.study.pieces import DataSpec, ModelSpec
from hptransfer.study.trial import Trial
from hptransfer.tasks.base import loss_of
from hptransfer.tasks.language import Language
from hptransfer.training.ask_task import batch_at, data_of
from hptransfer.training.build import table_of, target_of


def trial_of(**model: object) -> Trial:
    data = DataSpec(source="synthetic", vocab_size=16)
    return small_trial(
        model=ModelSpec(**{"factory": "traced_models:nano", **model}), rule="mup", density=0.5, data=data
    )


def queries(trial: Trial) -> set[tuple[float, tuple[tuple[int, int], ...]]]:
    return {(s.multiplier, s.multiplier_rows) for s in table_of(trial) if s.name.endswith("c_attn.weight")}


def test_the_trace_finds_them_and_the_study_file_may_name_them_or_say_there_are_none() -> None:
    for trial in (trial_of(), trial_of(queries=("*.c_attn.weight",))):
        assert list(queries(trial)) == [(pytest.approx(0.5**0.5), ((0, 32),))]
    assert queries(trial_of(queries=())) == {(1.0, ())}
    with pytest.raises(InputError, match="queries: no parameter has such a name"):
        table_of(trial_of(queries=("*.q_proj.weight",)))


def test_what_is_said_of_queries_is_part_of_the_id_and_silence_is_not() -> None:
    ids = {trial_of().id, trial_of(queries=None).id, trial_of(queries=()).id, trial_of(queries=("*.c_attn.*",)).id}
    assert len(ids) == 3
    assert "queries" not in trial_of().canonical()["model"]


def test_the_first_loss_is_that_of_the_hand_loop() -> None:
    trial = trial_of()
    model = parametrize_target(target_of(trial), trial.seed).model
    with torch.no_grad():
        loss = loss_of(Language())(model, batch_at(trial, data_of(trial), trial.data_seed, 0))
    assert outcome_of(trial).curve[0].train_loss == pytest.approx(float(loss), rel=1e-5)
    assert outcome_of(trial_of(queries=())).curve[0].train_loss != pytest.approx(float(loss), rel=1e-6)


def test_a_model_is_traced_with_the_studys_own_batch() -> None:
    tokens = small_trial().training.sequence_length
    assert target_of(trial_of()).sample == sample_of(torch.zeros(4, tokens, dtype=torch.long))
    assert target_of(small_trial()).sample is None  # what ships declares all of it
