"""How a tensor starts: what the factory built is not thrown away in silence, and `init` says by pattern what holds."""

from __future__ import annotations

import math
import re
import warnings
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from own_inits import FAST, SLOW, Designed, designed, recurrent, state_space
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import build_model
from hptransfer.scaling.parametrize import InitWarning, Parametrized, parametrize

BASE, WIDTH = 64, 256


def scaled(build: Any, init: dict[str, str] | None = None, *, width: int = WIDTH, **settings: Any) -> Parametrized:
    """At four times the base width."""
    return parametrize(build, width=width, base_width=BASE, init=init, **settings)


def weights(build: Any, init: dict[str, str] | None = None, **settings: Any) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InitWarning)
        return {n: p.detach() for n, p in scaled(build, init, **settings).model.named_parameters()}


def told(build: Any, init: dict[str, str] | None = None) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scaled(build, init, width=BASE)
    return [str(w.message) for w in caught if w.category is InitWarning]


def rms(value: Tensor) -> float:
    return float(value.detach().double().square().mean().sqrt())


# --- where nothing is said ---


@pytest.mark.parametrize("density", [1, 1 / 4])
@pytest.mark.parametrize("seed", [0, 3])
def test_step_sizes_of_a_state_space_stay_the_factorys(density: float, seed: int) -> None:
    bias = weights(state_space, density=density, seed=seed)["dt.bias"]
    steps = F.softplus(bias)
    assert SLOW * 0.999 <= float(steps.min()) < 0.003
    assert 0.05 < float(steps.max()) <= FAST * 1.001
    assert torch.equal(bias, build_model(state_space, WIDTH, None, seed=seed).dt.bias.detach())
    assert told(state_space) == []


def test_the_forget_gate_of_an_lstm_stays_open() -> None:
    found = weights(recurrent)
    assert (found["lstm.bias_ih_l0"][WIDTH : 2 * WIDTH] == 1).all()
    assert not found["lstm.bias_hh_l0"].any()  # torch's own noise, which nobody asked for


def test_a_gain_that_starts_at_zero_stays_zero_and_torchs_own_biases_become_zero() -> None:
    found = weights(designed)
    assert not found["norm.weight"].any()
    assert not found["up.bias"].any()


@pytest.mark.parametrize(
    ("fill", "kept"),
    [
        (lambda b: b.fill_(0.01), True),  # within torch's own bounds, but no draw
        (lambda b: b[: len(b) // 2].fill_(0.05), True),
        (lambda b: b.fill_(0), False),
        (lambda b: b, False),
    ],
)
def test_a_value_that_recurs_is_no_draw(fill: Any, kept: bool) -> None:
    def build(width: int) -> nn.Module:
        model = nn.Sequential(nn.Linear(4, width), nn.Linear(width, width), nn.Linear(width, 2))
        fill(model[1].bias.data)
        return model

    assert bool(weights(build)["1.bias"].any()) is kept


def test_layers_as_torch_builds_them_lose_nothing_worth_a_word() -> None:
    def build(width: int) -> nn.Module:
        conv = nn.Conv1d(width, width, 3)
        norms = (nn.LayerNorm(width), nn.GroupNorm(2, width), nn.BatchNorm1d(width))
        attention = nn.MultiheadAttention(width, 4)
        rnn = nn.LSTM(width, width, batch_first=True)
        layers = nn.ModuleList([nn.Embedding(16, width), nn.Linear(width, width), conv, *norms, attention, rnn])
        return nn.Sequential(layers, nn.Linear(width, 16))

    queries = ("*in_proj_weight",)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InitWarning)
        p = parametrize(build, width=WIDTH, base_width=BASE, depth=1, queries=queries)
    assert {s.init for s in p.table if s.role == "vector"} == {"zeros", "ones"}


def test_matrices_are_by_the_rule_and_a_caution_names_those_whose_init_said_something() -> None:
    assert rms(weights(designed)["up.weight"]) == pytest.approx(0.05 / 2, rel=0.02)
    (said,) = told(designed)
    assert said == (
        "the rule's init takes the place of what the factory built: up.weight (orthogonal), readout.weight (zeros); to"
        ' keep it say model.init: {"up.weight": built}, or rescale for a matrix whose size the rule is to correct'
        " (`init=` in Python)"
    )


def test_the_warning_points_at_the_line_that_asked() -> None:
    with pytest.warns(InitWarning) as caught:
        parametrize(designed, width=BASE, base_width=BASE)
    assert caught[0].filename == __file__


# --- rule ---


def test_by_the_rule_a_bias_is_zero_and_the_caution_names_its_values() -> None:
    assert not weights(state_space, {"dt.bias": "rule"})["dt.bias"].any()
    (said,) = told(state_space, {"dt.bias": "rule"})
    assert re.search(r"factory built: dt\.bias \(-6\.\d+ to -2\.\d+\); .*\{\"dt\.bias\": built\}", said)
    (said,) = told(designed, {"*": "rule"})
    assert "up.weight (orthogonal), norm.weight (zeros), readout.weight (zeros);" in said


# --- built and zeros ---


@pytest.mark.parametrize("density", [1, 1 / 4])
def test_as_built_a_matrix_is_the_factorys_and_masked(density: float) -> None:
    p = scaled(designed, {"*": "built"}, density=density, seed=2)
    plain = build_model(designed, WIDTH, None, seed=2)
    for name, value in p.model.named_parameters():
        kept = value != 0
        assert torch.equal(value[kept], plain.get_parameter(name)[kept])
    assert (p.model.up.weight != 0).float().mean() == density
    assert told(designed, {"*": "built"}) == []


def test_a_readout_of_zeros_by_either_word() -> None:
    assert weights(designed)["readout.weight"].any()
    for policy in ("zeros", "built", "rescale"):
        assert not weights(designed, {"readout.weight": policy})["readout.weight"].any()
    assert not weights(state_space, {"dt.bias": "zeros"})["dt.bias"].any()
    assert told(state_space, {"dt.bias": "zeros", "readout.weight": "zeros"}) == []


# --- rescale ---


@pytest.mark.parametrize(("rule", "density"), [("mup", 1), ("supar", 1), ("mup", 1 / 4), ("supar", 1 / 4)])
def test_orthogonal_matrices_stay_so_up_to_a_factor(rule: str, density: float) -> None:
    """Q of width n has entries of size 1/√n, which is the base's 1/√64 times the rule's (256/64)^−½: Q itself; a mask
    of density ρ takes what remains by ρ^−½ under SμPar."""
    init = {"up.weight": "rescale", "readout.weight": "zeros"}
    p = scaled(designed, init, rule=rule, density=density, seed=1)
    weight = p.model.up.weight.detach()
    plain = build_model(designed, WIDTH, None, seed=1).up.weight.detach()
    kept = weight != 0
    factor = density**-0.5 if rule == "supar" else 1
    assert float(kept.float().mean()) == pytest.approx(density, abs=1e-4)
    assert torch.allclose(weight[kept], factor * plain[kept], rtol=1e-5)
    (row,) = [s for s in p.table if s.name == "up.weight"]
    assert row.init_std == pytest.approx(factor / math.sqrt(WIDTH), rel=1e-5)
    if density == 1:
        assert torch.allclose(weight @ weight.T, torch.eye(WIDTH), atol=1e-4)


def test_a_factory_with_one_std_at_every_width_is_scaled_from_that_of_the_base() -> None:
    """0.02 at the base, 0.02/√4 at four times the width, twice that at a quarter of the weights."""
    init = {"down.weight": "rescale"}
    assert rms(weights(designed, init)["down.weight"]) == pytest.approx(0.01, rel=0.03)
    sparse = weights(designed, init, density=1 / 4)["down.weight"]
    assert rms(sparse[sparse != 0]) == pytest.approx(0.02, rel=0.03)


def test_torchs_own_layers_come_out_as_microsoft_mups_rescaled_ones() -> None:
    """Torch draws 1/√(3·fan-in): right for a hidden matrix as it is, times √m for a readout behind 1/m."""
    factors = {"dt.weight": 1.0, "readout.weight": math.sqrt(WIDTH / BASE), "embed.weight": 1.0}
    found = weights(state_space, {"*": "rescale"}, rule="mup")
    plain = build_model(state_space, WIDTH, None)
    for name, factor in factors.items():
        drawn = plain.get_parameter(name).detach()
        assert torch.allclose(found[name], rms(found[name]) / rms(drawn) * drawn, rtol=1e-4)
        assert rms(found[name]) == pytest.approx(factor * rms(drawn), rel=0.05)
    assert torch.equal(found["out.bias"], plain.out.bias)  # a vector is left as built


def test_at_the_base_it_is_the_factorys_value_bit_for_bit() -> None:
    found = weights(designed, {"*": "rescale"}, width=BASE)
    plain = build_model(designed, BASE, None)
    assert all(torch.equal(value, plain.get_parameter(name)) for name, value in found.items())


def test_every_seed_has_the_size_of_one_base_and_a_draw_of_its_own() -> None:
    one, other = (weights(designed, {"*": "rescale"}, seed=seed)["down.weight"] for seed in (0, 1))
    assert rms(one) == pytest.approx(rms(other), rel=1e-6)
    assert not torch.equal(one, other)


# --- patterns and words ---


def test_a_pattern_may_match_any_name_of_a_shared_tensor_and_the_first_match_wins() -> None:
    class Tied(Designed):
        def __init__(self, width: int, vocab_size: int = 16) -> None:
            super().__init__(width, vocab_size)
            self.readout.weight = self.embed.weight

    assert not weights(Tied, {"readout.weight": "zeros"})["embed.weight"].any()
    assert weights(Tied, {"embed.*": "built", "readout.weight": "zeros"})["embed.weight"].any()
    assert not weights(Tied, {"readout.weight": "zeros", "embed.*": "built"})["embed.weight"].any()


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (
            {"up.wieght": "built"},
            "init: no parameter has such a name; found 'up.wieght'; allowed: embed.weight, up.weight, up.bias,",
        ),
        (
            {"up.weight": "bilt"},
            "init.up.weight: unknown init; found 'bilt'; allowed: rule, built, rescale, zeros; did you mean 'built'?",
        ),
        ({"up.weight": ["built"]}, "init.up.weight: unknown init; found ['built']; allowed: rule, built"),
    ],
)
def test_bad_input(init: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        scaled(designed, init)


def test_a_factory_may_need_a_depth() -> None:
    def build(width: int, depth: int) -> nn.Module:
        layers = [nn.Linear(width, width) for _ in range(depth)]
        for layer in layers:
            layer.bias.data.fill_(-4.0)
        return nn.Sequential(nn.Embedding(16, width), *layers, nn.Linear(width, 16))

    p = parametrize(partial(build), width=WIDTH, base_width=BASE, depth=3)
    assert all((p.model[i].bias == -4).all() for i in (1, 2, 3))
