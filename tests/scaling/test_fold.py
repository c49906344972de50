"""A folded model computes the same, is nothing but its author's class, and loads where that class loads."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from traced_models import Net, TorchsOwn

from hptransfer.common.errors import InputError
from hptransfer.scaling.fold import fold
from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import GPT

TOKENS = torch.arange(32).view(2, 16)
BASE = BaseHPs(alpha_input=3.0, alpha_output=5.0, init_std=0.3)
DEEPER = {"width": 64, "base_width": 32, "depth": 2, "base_depth": 1, "rule": "completep", "base": BASE}
"""CompleteP also multiplies the residual branches, here by ½; the readout has 5/2."""

gpt = partial(GPT, head_size=16, vocab_size=64, context=16)


def trained(build, *inputs, steps=2, **settings):
    """Parametrized, and moved off its start: biases are no longer 0."""
    p = parametrize(build, **{**DEEPER, **settings})
    optimizer = torch.optim.AdamW([{**g, "lr": 1e-2} for g in p.param_groups])
    for _ in range(steps):
        optimizer.zero_grad()
        logits_of(p.model, *inputs).square().mean().backward()
        optimizer.step()
    p.model.eval()
    return p


def logits_of(model, *inputs):
    out = model(*(inputs or (TOKENS,)))
    return out if isinstance(out, torch.Tensor) else out.logits


def is_plain(model):
    """No buffer, hook, attribute or class of this package's scaling is left: it pickles without naming it."""
    assert b"hpt_" not in pickle.dumps(model)
    assert b"hptransfer.scaling" not in pickle.dumps(model)
    return True


def equal(a, b):
    """But for rounding, which is that of the largest."""
    largest = float(b.detach().abs().max())
    assert largest > 0.1
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5 * max(largest, 1.0))


OURS = {
    "plain": {},
    "biases": {"bias": True},
    "llama-like": {"activation": "swiglu", "norm": "rms", "positions": "rotary", "kv_heads": 1},
    "growing heads": {"heads": 2, "bias": True},
    "growing heads behind a norm": {"heads": 2, "bias": True, "qk_norm": True},
}


@pytest.mark.parametrize("options", OURS.values(), ids=OURS)
def test_our_gpt_into_a_freshly_built_one(options):
    build = partial(gpt, **options)
    p = trained(build, density=0.25)
    before = copy.deepcopy(p.model.state_dict())
    assert {float(v) for n, v in before.items() if "multiplier" in n} >= {3.0, 2.5, 0.5}
    plain = p.fold()
    assert is_plain(plain)
    fresh = build(width=64, depth=2)
    fresh.load_state_dict(plain.state_dict(), strict=True)
    expected = logits_of(p.model)
    assert equal(logits_of(plain), expected)
    assert equal(logits_of(fresh), expected)
    for name, mask in masked_parameters(p.model).items():
        assert torch.equal(plain.get_parameter(name) != 0, mask)
    for name, value in p.model.state_dict().items():
        assert torch.equal(value, before[name]), name  # the model itself is left as it was


def test_a_folded_model_trains_on_by_itself():
    plain = trained(gpt).fold()
    logits_of(plain).square().mean().backward()
    assert all(p.grad is not None for p in plain.parameters())


def test_multipliers_that_a_checkpoint_brought_are_the_ones_that_count():
    first = trained(gpt, density=0.5)
    second = parametrize(gpt, **{**DEEPER, "base": BaseHPs()}, density=0.5, seed=1)
    second.model.load_state_dict(first.model.state_dict())
    assert equal(logits_of(second.fold()), logits_of(first.model))


# --- shared tensors


def test_a_tied_matrix_whose_uses_differ_is_refused_by_name():
    p = trained(partial(gpt, tied=True))
    with pytest.raises(InputError) as refused:
        p.fold()
    message = str(refused.value)
    assert message.startswith("embed.weight: this tensor is shared")
    assert "embed.weight × 3, readout.weight × 2.5" in message
    assert "untie=True" in message


def test_untied_it_computes_the_same_and_loads_into_an_untied_model():
    p = trained(partial(gpt, tied=True))
    plain = p.fold(untie=True)
    assert plain.readout.weight is not plain.embed.weight
    fresh = gpt(width=64, depth=2)
    fresh.load_state_dict(plain.state_dict(), strict=True)
    assert equal(logits_of(fresh), logits_of(p.model))
    assert p.model.readout.weight is p.model.embed.weight


@pytest.mark.parametrize("untie", [False, True])
def test_a_tied_matrix_whose_uses_agree_stays_tied(untie):
    p = trained(partial(gpt, tied=True), base=BaseHPs(alpha_input=2.5, alpha_output=5.0, init_std=0.3))
    plain = p.fold(untie=untie)
    assert plain.readout.weight is plain.embed.weight
    assert equal(logits_of(plain), logits_of(p.model))


class Twice(nn.Module):
    """One readout under two names: it is called twice, and its weight is scaled once."""

    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(4, width)
        self.inner = nn.Linear(width, width)
        self.head = self.other_head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.inner(self.first(x).relu())
        return self.head(x) + self.other_head(x.relu())


def test_a_module_that_is_listed_twice_is_scaled_once():
    x = torch.randn(6, 4)
    p = trained(Twice, x, rule="supar", depth=None, base_depth=None)
    assert equal(p.fold()(x), p.model(x))


# --- modules of all kinds


class Picture(nn.Module):
    """A convolution as the embedding, torch's own attention, whose heads grow, and a readout."""

    def __init__(self, width, depth=1, attention=None):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.attention = (attention or nn.MultiheadAttention)(width, 2, batch_first=True)
        self.deeper = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(depth - 1)))
        self.head = nn.Linear(width, 10)

    def forward(self, pictures):
        x = self.patch(pictures).flatten(2).transpose(1, 2)
        x = x + self.attention(x, x, x)[0]
        return self.head((x + 1e-3 * self.deeper(x)).mean(1))


class Packed(nn.MultiheadAttention):
    """Keys and values of another origin: three matrices in place of a packed one."""

    def __init__(self, width, heads, batch_first):
        super().__init__(width, heads, batch_first=batch_first, kdim=width, vdim=width)
        self._qkv_same_embed_dim = False
        self.in_proj_weight = None
        for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
            setattr(self, name, nn.Parameter(torch.zeros(width, width)))


@pytest.mark.parametrize("attention", [nn.MultiheadAttention, Packed], ids=["packed", "three matrices"])
def test_convolutions_and_torchs_own_attention(attention):
    pictures = torch.randn(2, 3, 16, 16)
    roles = {"attention.out_proj.weight": "residual", "attention.*bias": "block_vector", "*bias": "vector"}
    p = trained(partial(Picture, attention=attention), pictures, roles=roles)
    of_attention = [float(v) for n, v in p.model.state_dict().items() if n.startswith("attention.hpt_multiplier")]
    assert sorted(of_attention) == [0.5, pytest.approx(0.5**0.5)]
    assert p.model.attention.in_proj_bias.any()
    plain = p.fold()
    assert is_plain(plain)
    assert equal(plain(pictures), p.model(pictures))


def test_queries_that_share_their_matrix_with_keys_and_values():
    tokens = torch.arange(8)[None]
    p = trained(Net, tokens, rule="mup")
    factor = p.model.h[0].attn.c_attn.hpt_multiplier_output
    assert factor.tolist() == pytest.approx([0.5**0.5] * 64 + [1.0] * 128)
    plain = p.fold()
    assert is_plain(plain)
    assert equal(plain(tokens), p.model(tokens))
    trained_weight, folded = p.model.h[0].attn.c_attn.weight, plain.h[0].attn.c_attn.weight
    assert torch.allclose(folded[:64], trained_weight[:64] * 0.5**0.5)
    assert torch.equal(folded[64:], trained_weight[64:])


def test_torchs_encoder_layer_whose_fast_path_calls_no_module():
    """It takes that without gradients, and only when it is folded, since a hook keeps it from it."""
    tokens = torch.arange(8)[None]
    p = trained(TorchsOwn, tokens)
    with torch.no_grad():
        assert equal(p.fold()(tokens), p.model(tokens))


class OwnLinear(nn.Module):
    """A linear layer in all but name, with whatever it does to its weight."""

    def __init__(self, inputs, outputs, shape):
        super().__init__()
        self.in_features, self.out_features, self.shape = inputs, outputs, shape
        self.weight, self.bias = nn.Parameter(torch.zeros(outputs, inputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.shape(self.weight).T + self.bias


def own_readout(shape, width, depth=1):
    body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), OwnLinear(width, 5, shape))
    return body


def test_a_layer_of_ones_own_is_tried_and_folded_where_it_is_linear():
    x = torch.randn(6, 4)
    p = trained(partial(own_readout, torch.clone), x, rule="mup", base_depth=2)
    assert equal(p.fold()(x), p.model(x))
    p = trained(partial(own_readout, nn.functional.normalize), x, rule="mup", base_depth=2)
    with pytest.raises(InputError, match="3: the multiplier on the input of this OwnLinear cannot be written into"):
        p.fold()


def test_what_is_not_linear_in_its_weights_is_refused_by_name():
    p = trained(gpt)
    p.model.embed.max_norm = 1.0
    with pytest.raises(InputError, match="embed: the multiplier on the output of this Embedding cannot be written"):
        p.fold()
    p = trained(gpt)
    nn.utils.parametrizations.weight_norm(p.model.readout)
    with pytest.raises(InputError, match="readout: the multiplier on the input"):
        p.fold()


def test_weights_that_leaked_are_refused():
    p = trained(gpt, density=0.25)
    with torch.no_grad():
        p.model.blocks[1].ffn.up.weight.fill_(1.0)
    with pytest.raises(
        InputError, match=r"blocks\.1\.ffn\.up\.weight: what trains .* its zeros are lost; found .*1 of 12"
    ):
        fold(p.model)


# --- Hugging Face


transformers = pytest.importorskip("transformers")


class Logits(nn.Module):
    """Hands out the logits of a model that returns an object."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, tokens):
        return self.inner(tokens).logits


def llama(width, depth=2, tied=False):
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // 16,
        num_key_value_heads=width // 32,
        max_position_embeddings=32,
        tie_word_embeddings=tied,
    )
    return Logits(transformers.LlamaForCausalLM(config))


def gpt2(width, depth=2, heads=None):
    config = transformers.GPT2Config(
        vocab_size=64,
        n_positions=32,
        n_embd=width,
        n_layer=depth,
        n_head=heads or width // 16,
        bos_token_id=0,
        eos_token_id=0,
    )
    return Logits(transformers.GPT2LMHeadModel(config))


@pytest.mark.parametrize(
    ("build", "untie"),
    [(llama, False), (partial(llama, tied=True), True), (gpt2, True), (partial(gpt2, heads=2), True)],
    ids=["llama", "tied llama", "gpt2", "gpt2 with growing heads"],
)
def test_hugging_face_saves_and_loads_it(build, untie, tmp_path):
    p = trained(build, density=0.25)
    assert 0.5 in {float(v.min()) for n, v in p.model.named_buffers() if "multiplier_output" in n}  # a branch
    if untie:
        with pytest.raises(InputError, match="tie_word_embeddings=False"):
            p.fold()
    plain = p.fold(untie=untie)
    assert is_plain(plain)
    plain.inner.save_pretrained(tmp_path)
    loaded, told = type(plain.inner).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told.values())
    assert equal(logits_of(plain), logits_of(p.model))
    assert equal(logits_of(loaded), logits_of(p.model))
    assert plain.inner.config.tie_word_embeddings is False
    assert p.model.inner.config.tie_word_embeddings is untie  # the model itself stays tied


def test_what_from_pretrained_loses_without_it(tmp_path):
    """Why there is a fold: it drops the multipliers and says that they can be ignored."""
    p = trained(llama, rule="mup")
    p.model.inner.save_pretrained(tmp_path)
    loaded, told = type(p.model.inner).from_pretrained(tmp_path, output_loading_info=True)
    assert any("hpt_multiplier" in name for name in told["unexpected_keys"])
    assert not torch.allclose(logits_of(loaded), logits_of(p.model), atol=0.1)
