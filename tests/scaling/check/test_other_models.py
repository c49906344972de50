"""Models of a kind we do not ship pass where they are right: their matrices of fixed outputs are no alarm."""

from __future__ import annotations

import pytest
from zoo import experts, shared_heads, state_space
from zoo.plants import as_built, checked

ENTRIES = (*shared_heads.ENTRIES, *experts.ENTRIES, *state_space.ENTRIES)
"""Planted is what has fixed outputs in each."""


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_what_reads_a_fixed_matrix_in_m_places_sends_back_a_gradient_that_shrinks_as_the_square_root(entry):
    verdict = checked(as_built(entry))
    assert verdict.passed
    rows = verdict.slopes.set_index(["module", "kind", "step"])
    fixed = entry.plant.removesuffix(".weight")
    gradient, logits = rows.loc[fixed, "gradient", 0], rows.loc["readout", "activation", 0]
    assert gradient.slope == pytest.approx(-0.5, abs=0.15)
    assert (gradient.allowed_low, gradient.allowed_high) == (-0.65, 0.15)
    assert logits.slope == pytest.approx(-0.5, abs=0.1)
    assert (logits.allowed_low, logits.allowed_high) == (-0.6, 0.1)
