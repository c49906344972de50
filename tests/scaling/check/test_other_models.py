"""Models of a kind we do not ship pass where they are right: their matrices of fixed outputs are no alarm."""

from __future__ import annotations

import pytest
from zoo.examined import PLANTED, examined, examined_with
from zoo.experts import Experts
from zoo.shared_heads import SharedHeads
from zoo.state_space import StateSpace

MODELS = {SharedHeads: "wkv", Experts: "router", StateSpace: "x_proj"}
"""The matrix of each whose outputs do not grow."""


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_reads_a_fixed_matrix_in_m_places_sends_back_a_gradient_that_shrinks_as_the_square_root(model):
    rows = examined(model).slopes.set_index(["module", "kind", "step"])
    gradient, logits = rows.loc[MODELS[model], "gradient", 0], rows.loc["readout", "activation", 0]
    assert gradient.slope == pytest.approx(-0.5, abs=0.15)
    assert (gradient.allowed_low, gradient.allowed_high) == (-0.65, 0.15)
    assert logits.slope == pytest.approx(-0.5, abs=0.1)
    assert (logits.allowed_low, logits.allowed_high) == (-0.6, 0.1)


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_an_exponent_of_that_matrix_alone_that_is_off_by_a_half_is_found(model, planted):
    verdict = examined_with(planted, f"{MODELS[model]}.weight", model)
    assert set(verdict.by_rule.values()) == {"FAIL"}
    failed = verdict.failures().query("outcome == 'FAIL'").set_index(["module", "kind", "step"])
    assert failed.loc[MODELS[model], planted, 0].slope == pytest.approx(0.5, abs=0.2)
