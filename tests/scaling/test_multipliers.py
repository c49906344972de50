"""Forward multipliers act on activations, once."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from hptransfer.common.errors import InputError
from hptransfer.scaling.multipliers import attach_multipliers
from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import GPT

gpt = partial(GPT, head_size=16, vocab_size=32, context=16)


small = partial(parametrize, gpt, width=64, base_width=32, depth=1, density=0.25)


TOKENS = torch.randint(0, 32, (4, 17), generator=torch.Generator().manual_seed(0))


def test_twice_is_an_error():
    with pytest.raises(InputError, match="parametrized already"):
        parametrize(lambda width: small(width=width).model, width=64, base_width=32)
    p = small()
    with pytest.raises(InputError, match="a second time would scale it twice"):
        attach_multipliers(p.model, p.table)


def test_multipliers_act_on_activations():
    base = BaseHPs(alpha_input=3.0, alpha_output=5.0)
    p = small(base=base, density=1.0, rule="mup")
    plain = gpt(width=64, depth=1)
    plain.load_state_dict({n: w for n, w in p.model.state_dict().items() if "hpt_" not in n})
    with torch.no_grad():
        assert torch.allclose(p.model.embed(TOKENS), 3 * plain.embed(TOKENS))
        x = torch.randn(2, 64)
        assert torch.allclose(p.model.readout(x), plain.readout(x) * 5 / 2, atol=1e-6)


def test_a_tied_readout_is_scaled_on_its_input_not_in_the_shared_weight():
    tied = partial(gpt, tied=True)
    p = parametrize(tied, width=64, base_width=32, depth=1, rule="mup", base=BaseHPs(alpha_input=3.0))
    assert p.model.readout.weight is p.model.embed.weight
    x = torch.randn(2, 64)
    weight = p.model.embed.weight.detach()
    assert torch.allclose(p.model.readout(x), F.linear(x, weight) / 2, atol=1e-6)
    assert torch.allclose(p.model.embed(TOKENS), 3 * F.embedding(TOKENS, weight))
    assert float(weight.std()) == pytest.approx(0.05, rel=0.05)
