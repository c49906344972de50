"""Any module: convolutions, nn.MultiheadAttention, recurrent layers, a vision transformer, Hugging Face models."""

import copy
import pickle
from functools import partial

import pytest
import torch
from roles_told import find_roles
from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.mask_hooks import masked_parameters
from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import GPT


def trains_and_keeps_zeros(p, *inputs, **named):
    """Two steps towards an output of 1; the loss falls, zeros stay, a copy gives the same."""
    optimizer = torch.optim.AdamW(p.param_groups)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        out = p.model(*inputs, **named)
        loss = ((out if isinstance(out, torch.Tensor) else out.logits) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[1] < losses[0]
    masks = masked_parameters(p.model)
    assert masks
    for name, mask in masks.items():
        assert not p.model.get_parameter(name)[~mask].any()
    p.model.eval()
    twin = pickle.loads(pickle.dumps(copy.deepcopy(p.model)))
    first, second = p.model(*inputs, **named), twin(*inputs, **named)
    if not isinstance(first, torch.Tensor):
        first, second = first.logits, second.logits
    assert torch.equal(first, second)
    return True


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tied": True, "bias": True},
        {"activation": "swiglu", "norm": "rms", "positions": "rotary", "kv_heads": 1},
        {"heads": 2, "positions": "none"},
    ],
    ids=["plain", "tied+bias", "swiglu+rms+gqa", "growing heads"],
)
def test_our_gpt(options):
    build = partial(GPT, **{"head_size": 16, "vocab_size": 32, "context": 16, **options})
    p = parametrize(build, width=64, base_width=32, depth=1, density=0.25)
    assert trains_and_keeps_zeros(p, torch.arange(16).view(2, 8))


class Picture(nn.Module):
    """Patches, a convolution over places, a transformer layer of PyTorch's own, a classifier."""

    def __init__(self, width, heads=None):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.mix = nn.Conv1d(width, width, 3, padding=1)
        self.each = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.start = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(torch.zeros(1, 17, width))
        self.layer = nn.TransformerEncoderLayer(width, heads or width // 16, 4 * width, dropout=0, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, pictures):
        x = self.patch(pictures).flatten(2)
        x = (x + self.mix(x) + self.each(x)).transpose(1, 2)
        x = torch.cat([self.start.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.layer(x)[:, 0])


PICTURES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_convolutions_and_torchs_own_attention():
    p = parametrize(Picture, width=64, base_width=32, depth=1, density=0.25, roles={"place": "embedding"})
    table = {s.name: s for s in p.table}
    assert table["patch.weight"].role == "embedding"
    assert table["mix.weight"].fan_in == 3 * 64
    assert table["mix.weight"].lr_scale == pytest.approx(1 / (2 * 0.25))
    assert (table["each.weight"].role, table["each.weight"].init) == ("vector", "built")
    assert table["layer.self_attn.in_proj_weight"].role == "hidden"
    assert "bare parameter" in table["place"].source
    assert trains_and_keeps_zeros(p, PICTURES)


def test_torchs_attention_with_growing_heads_scores_with_one_over_d():
    """Two heads: their size doubles with the width, so logits get a further √½; seen in the attention weights."""
    build = partial(Picture, heads=2)
    roles = {"place": "embedding", "layer.self_attn.out_proj.weight": "residual"}
    p = parametrize(build, width=64, base_width=32, depth=1, rule="mup", roles=roles, base=BaseHPs(init_std=0.3))
    attention = p.model.layer.self_attn
    table = {s.name: s for s in p.table}
    assert table["layer.self_attn.in_proj_weight"].multiplier == pytest.approx(0.5**0.5)
    assert table["layer.self_attn.out_proj.weight"].multiplier_buffer.startswith("layer.self_attn.")
    plain = nn.MultiheadAttention(64, 2, batch_first=True)
    plain.load_state_dict({n: w for n, w in attention.state_dict().items() if "hpt_" not in n})
    x = torch.randn(2, 5, 64)
    _, weights = attention(x, x, x)
    _, expected = plain(x * 0.5**0.5, x, x)
    assert torch.allclose(weights, expected, atol=1e-6)
    by_name = attention(query=x, key=x, value=x)[1]
    assert torch.allclose(by_name, expected, atol=1e-6)


def test_the_fast_path_of_torchs_transformer_does_not_skip_the_multipliers():
    build = partial(Picture, heads=2)
    model = parametrize(build, width=64, base_width=32, depth=1, rule="mup", roles={"place": "embedding"}).model
    trained = model(PICTURES)
    model.eval()
    with torch.no_grad():
        assert torch.allclose(model(PICTURES), trained, atol=1e-5)


class Recurrent(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = nn.Embedding(16, width)
        self.cell = nn.LSTM(width, width, batch_first=True)
        self.readout = nn.Linear(width, 16)

    def forward(self, tokens):
        return self.readout(self.cell(self.embed(tokens))[0])


def test_recurrent_layers():
    roles = find_roles(Recurrent, width=16, other_width=32)
    assert roles["cell.weight_ih_l0"] == roles["cell.weight_hh_l0"] == "hidden"
    p = parametrize(Recurrent, width=32, base_width=16, density=0.5)
    assert trains_and_keeps_zeros(p, torch.arange(16).view(2, 8))


class Experts(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(4, width)
        self.up = nn.Parameter(torch.zeros(3, width, 2 * width))
        self.readout = nn.Linear(2 * width, 5)

    def forward(self, x):
        return self.readout((self.first(x) @ self.up).relu().mean(0))


def test_experts_kept_as_one_stack_are_matrices_each_with_its_own_fan_in():
    p = parametrize(Experts, width=32, base_width=16, density=0.25, roles={"up": "hidden^T"})
    (up,) = (s for s in p.table if s.name == "up")
    assert (up.fan_in, up.out_dims) == (32, (0, 2))
    assert up.lr_scale == pytest.approx(1 / (2 * 0.25))
    assert trains_and_keeps_zeros(p, torch.randn(6, 4))


transformers = pytest.importorskip("transformers")


def hugging_gpt2(width, depth=2, heads=None):
    config = transformers.GPT2Config(
        vocab_size=64,
        n_positions=32,
        n_embd=width,
        n_layer=depth,
        n_head=heads or width // 16,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config)


def hugging_llama(width, depth=2, kv_heads=None, tied=False):
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // 16,
        num_key_value_heads=kv_heads or width // 32,
        max_position_embeddings=32,
        tie_word_embeddings=tied,
    )
    return transformers.LlamaForCausalLM(config)


def hugging_qwen3(width, depth=2):
    config = transformers.Qwen3Config(
        vocab_size=64,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // 16,
        num_key_value_heads=width // 32,
        head_dim=16,
        max_position_embeddings=32,
    )
    return transformers.Qwen3ForCausalLM(config)


def hugging_vit(width, depth=2):
    config = transformers.ViTConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // 16,
        image_size=16,
        patch_size=4,
    )
    return transformers.ViTForImageClassification(config)


TOKENS = torch.arange(32).view(2, 16)


def test_hugging_face_gpt2():
    """Its matrices are (in, out), its embedding is tied, and its queries, keys and values share one matrix."""
    roles = {"*.c_proj.weight": "residual"}
    p = parametrize(hugging_gpt2, width=64, base_width=32, depth=2, density=0.25, roles=roles)
    table = {s.name: s for s in p.table}
    assert table["transformer.wte.weight"].tied[0].name == "lm_head.weight"
    assert table["transformer.h.0.mlp.c_proj.weight"].fan_in == 4 * 64
    assert table["transformer.h.0.attn.c_attn.weight"].role == "hidden"
    down = p.model.transformer.h[0].mlp.c_proj.weight.detach()
    assert float(down[down != 0].std()) == pytest.approx(0.05 / (2 * 0.25) ** 0.5 / 2, rel=0.03)
    assert trains_and_keeps_zeros(p, input_ids=TOKENS)


def test_hugging_face_gpt2_with_growing_heads_scales_the_queries_of_its_fused_matrix():
    p = parametrize(partial(hugging_gpt2, heads=2), width=64, base_width=32, depth=1, rule="mup")
    fused = p.model.transformer.h[0].attn.c_attn
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    plain = x @ fused.weight + fused.bias
    assert torch.allclose(fused(x), torch.cat([plain[:, :64] * 0.5**0.5, plain[:, 64:]], -1), atol=1e-6)


def test_hugging_face_llama_under_completep_scales_its_branches():
    settings = {"width": 64, "base_width": 32, "depth": 8, "base_depth": 2}
    p = parametrize(hugging_llama, rule="completep", **settings)
    found = {s.name: s.multiplier for s in p.table if s.role == "residual"}
    assert len(found) == 16
    assert set(found.values()) == {0.25}
    assert found.keys() >= {"model.layers.7.self_attn.o_proj.weight", "model.layers.0.mlp.down_proj.weight"}


@pytest.mark.parametrize("tied", [True, False])
def test_hugging_face_llama(tied):
    roles = {"*.o_proj.weight": "residual", "*.down_proj.weight": "residual"}
    build = partial(hugging_llama, tied=tied)
    p = parametrize(build, width=64, base_width=32, depth=2, density=0.25, roles=roles)
    table = {s.name: s for s in p.table}
    assert table["model.layers.0.self_attn.k_proj.weight"].role == "hidden"
    assert table["model.norm.weight"].init == "built"  # a norm of their own: it keeps its value
    assert len(masked_parameters(p.model)) == 14
    assert trains_and_keeps_zeros(p, input_ids=TOKENS)


def test_hugging_face_llama_with_fixed_key_heads_asks_and_is_told():
    build = partial(hugging_llama, kv_heads=1)
    with pytest.raises(InputError, match=r"k_proj\.weight: cannot tell"):
        find_roles(build, width=32, other_width=64, depth=1)
    told = find_roles(build, width=32, other_width=64, depth=1, overrides={"*.[kv]_proj.weight": "hidden"})
    assert told["lm_head.weight"] == "readout"


@pytest.mark.parametrize(
    ("build", "outside", "in_a_block"),
    [
        (hugging_gpt2, {"transformer.ln_f.weight", "transformer.ln_f.bias"}, 4 + 4),
        (hugging_llama, {"model.norm.weight"}, 2),
        (hugging_qwen3, {"model.norm.weight"}, 2 + 2),
        (
            hugging_vit,
            {"vit.embeddings.patch_embeddings.projection.bias", "classifier.bias"}
            | {"vit.layernorm.weight", "vit.layernorm.bias"},
            4 + 6,
        ),
    ],
    ids=["gpt2", "llama", "qwen3", "vit"],
)
def test_hugging_face_blocks(build, outside, in_a_block):
    """Norms and biases by block: two norms of weight and bias and four biases in GPT-2, norms of queries and keys …"""
    said = {"*position_embeddings": "embedding", "*cls_token": "embedding"} if build is hugging_vit else {}
    told = find_roles(build, width=32, other_width=64, depth=3, overrides=said, blocks=True)
    inside = {name for name, role in told.items() if role == "block_vector"}
    assert {name for name, role in told.items() if role == "vector"} == outside
    assert len(inside) == 3 * in_a_block
    assert all(".0." in name or ".1." in name or ".2." in name for name in inside)


def test_hugging_face_qwen3_trains_with_the_gains_of_its_qk_norms():
    roles = {"*.o_proj.weight": "residual", "*.down_proj.weight": "residual"}
    settings = {"width": 64, "base_width": 32, "depth": 4, "base_depth": 2, "density": 0.25, "roles": roles}
    p = parametrize(hugging_qwen3, rule="completep_half", **settings)
    table = {s.name: s for s in p.table}
    gain, norm = (table[f"model.layers.3.{n}.weight"] for n in ("self_attn.q_norm", "input_layernorm"))
    assert (gain.lr_scale, norm.lr_scale) == (pytest.approx(2**-0.5), pytest.approx(2**-0.5))
    assert (gain.eps, norm.eps) == (pytest.approx(1e-8 * 2**-0.5), pytest.approx(1e-8 * 2**-0.5 / 2))
    assert (table["model.norm.weight"].lr_scale, table["model.norm.weight"].eps) == (1.0, pytest.approx(1e-8 / 2))
    assert trains_and_keeps_zeros(p, input_ids=TOKENS)
