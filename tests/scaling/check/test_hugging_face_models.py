"""Hugging Face models in the wrapper that docs/faq.md asks for pass, although two modules only hand logits on."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from zoo import hugging
from zoo.plants import as_built, checked


@pytest.mark.parametrize("entry", hugging.ENTRIES, ids=str)
def test_it_passes_and_what_hands_the_logits_on_is_judged_as_the_readout_is(entry):
    verdict = checked(as_built(entry))
    assert verdict.passed
    rows = verdict.slopes.query("kind == 'activation' and step == 0").set_index("module")
    handed_on = rows.loc[["m.lm_head", "m", "(model)"]]
    assert set(handed_on.allowed_low) == {-0.6}
    assert list(handed_on.slope) == [pytest.approx(-0.5, abs=0.1)] * 3
