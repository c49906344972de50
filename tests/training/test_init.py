"""How a study's trial starts its tensors: as the hand loop does, whoever trains it and whatever shares its pack."""

from __future__ import annotations

import warnings

import pytest
import torch
from small_trials import EAGER, outcome_of, small_trial

from hptransfer.scaling.parametrize import InitWarning, parametrize_target
from hptransfer.study.pieces import DataSpec, ModelSpec
from hptransfer.study.trial import Trial
from hptransfer.tasks.base import loss_of
from hptransfer.tasks.language import Language
from hptransfer.training.ask_task import batch_at, data_of
from hptransfer.training.build import initial_state, target_of, tensor_shapes
from hptransfer.training.layout import make_layout
from hptransfer.training.packs import train_pack
from hptransfer.training.program_cache import forget_programs

MODELS = {
    "state_space": {},
    "recurrent": {"lstm.weight_hh_l0": "rescale"},
    "designed": {"up.weight": "rescale", "readout.weight": "zeros", "down.weight": "built"},
}


def trial_of(name: str, density: float, seed: int = 1, init: dict[str, str] | None = None) -> Trial:
    model = ModelSpec(factory=f"own_inits:{name}", init=MODELS[name] if init is None else init)
    data = DataSpec(source="synthetic", vocab_size=16)
    return small_trial(model=model, density=density, seed=seed, data=data, training={"steps": 3})


def hand_loop(trial: Trial) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InitWarning)
        return parametrize_target(target_of(trial), trial.seed).model


@pytest.mark.parametrize("density", [1.0, 0.25])
@pytest.mark.parametrize("name", MODELS)
def test_a_trial_starts_as_the_hand_loop_does(name: str, density: float) -> None:
    trial = trial_of(name, density)
    layout = make_layout(tensor_shapes(trial))
    own = layout.views(initial_state(trial, layout).sheets)
    model = hand_loop(trial)
    for parameter, value in model.named_parameters():
        assert torch.equal(own[parameter], value.detach()), parameter
    forget_programs()
    first = outcome_of(trial).curve[0].train_loss
    with torch.no_grad():
        loss = loss_of(Language())(model, batch_at(trial, data_of(trial), trial.data_seed, 0))
    assert first == pytest.approx(float(loss), rel=1e-5)


def test_in_a_pack_each_trial_has_the_factorys_value_under_its_own_seed_and_its_own_init() -> None:
    own = trial_of("state_space", 0.25)
    trials = [
        own,
        trial_of("state_space", 0.25, seed=2),
        trial_of("state_space", 0.25, init={"dt.bias": "rule"}),
        trial_of("state_space", 0.25, init={"*": "built"}),
    ]
    assert len({trial.shape_key for trial in trials}) == 1
    forget_programs()
    together = list(train_pack(trials, EAGER))
    assert len({outcome.loss for outcome in together}) == 4
    for trial, outcome in zip(trials, together, strict=True):
        forget_programs()
        assert outcome_of(trial).loss == pytest.approx(outcome.loss, rel=1e-5)
