"""Hugging Face models in the wrapper that docs/faq.md asks for pass, although two modules only hand logits on."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from zoo.examined import PLANTED, examined, examined_with
from zoo.hugging import HUGGING

MATRIX = {
    "Llama": "m.model.layers.*.self_attn.o_proj",
    "GPT-2": "m.transformer.h.*.mlp.c_proj",
    "Qwen2": "m.model.layers.*.mlp.down_proj",
}


@pytest.mark.parametrize("name", HUGGING)
def test_it_passes_and_what_hands_the_logits_on_is_judged_as_the_readout_is(name):
    rows = examined(HUGGING[name]).slopes.query("kind == 'activation' and step == 0").set_index("module")
    handed_on = rows.loc[["m.lm_head", "m", "(model)"]]
    assert set(handed_on.allowed_low) == {-0.6}
    assert list(handed_on.slope) == [pytest.approx(-0.5, abs=0.1)] * 3


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("name", HUGGING)
def test_an_exponent_of_one_matrix_that_is_off_by_a_half_is_found(name, planted):
    verdict = examined_with(planted, f"{MATRIX[name]}.weight", HUGGING[name])
    assert set(verdict.by_rule.values()) == {"FAIL"}
    failed = verdict.failures().query("outcome == 'FAIL'").set_index(["module", "kind", "step"])
    assert failed.loc[MATRIX[name], planted, 0].slope == pytest.approx(0.5, abs=0.2)
