"""What writes to the residual stream: as declared, as traced, by a known name; and a depth rule where nothing does."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from roles_told import find_roles
from torch import nn
from traced_models import Net, Untraceable
from zoo.experts import routed
from zoo.recurrent import gru, lstm
from zoo.stacked_experts import ROUTER, stacked

from hptransfer.common.errors import InputError
from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs


def residual(build) -> set[str]:
    return {name for name, role in find_roles(build, width=32, depth=1).items() if role == "residual"}


def silenced(width, depth=1):
    net = Net(width, depth)
    net.residual_outputs = ()
    return net


def test_traced_ones_start_smaller_and_carry_the_multiplier_of_a_depth_rule() -> None:
    sizes = {"width": 32, "base_width": 32, "depth": 8, "base_depth": 2}
    p = parametrize(Net, rule="mup", base=BaseHPs(init_std=0.4), **sizes)
    stds = [s.init_std for s in p.table if s.role == "residual"]
    assert stds == [pytest.approx(0.1)] * 16  # 0.4 / √(2·8)
    p = parametrize(Net, rule="completep", **sizes)
    assert {s.multiplier for s in p.table if s.role == "residual"} == {0.25}


def test_without_a_depth_the_additions_to_the_stream_are_counted() -> None:
    for depth in (1, 2, 5):
        p = parametrize(partial(Net, depth=depth), width=32, base_width=32, rule="mup")
        said = parametrize(Net, width=32, base_width=32, depth=depth, rule="mup")
        assert [s.init_std for s in p.table] == [s.init_std for s in said.table]


def of_three_blocks(width):
    return Net(width, 3)


def declared(width):
    net = of_three_blocks(width)
    net.residual_outputs = ("h.*.c_proj.weight", "h.*.down.weight")
    return net


def test_a_factory_that_takes_no_depth_is_as_deep_as_its_trace_not_as_a_study_says() -> None:
    """A study says a depth for every trial, 2 unless told otherwise; a hand loop may say none."""
    sizes = {"width": 32, "base_width": 32, "rule": "mup"}
    true = parametrize(Net, depth=3, **sizes)
    for build, said in ((of_three_blocks, None), (of_three_blocks, 2), (declared, 2)):
        p = parametrize(build, depth=said, **sizes)
        assert [s.init_std for s in p.table] == [s.init_std for s in true.table]


def test_where_nothing_can_be_traced_either_the_depth_is_to_be_said() -> None:
    sizes = {"width": 32, "base_width": 32, "rule": "mup", "base": BaseHPs(init_std=0.6), "queries": ()}
    with pytest.raises(InputError, match=r"h\.0\.attn\.c_proj\.weight: .*say depth"):
        parametrize(Untraceable, **sizes)
    p = parametrize(Untraceable, depth=18, **sizes)
    assert [s.init_std for s in p.table if s.role == "residual"] == [pytest.approx(0.1)] * 18  # 0.6 / √(2·18)


def test_what_the_model_declares_wins() -> None:
    assert residual(Net) == {"h.0.attn.c_proj.weight", "h.0.down.weight"}
    assert residual(silenced) == set()


def test_known_names_stand_in_for_a_trace() -> None:
    assert residual(Untraceable) == {"h.0.attn.c_proj.weight"}


@pytest.mark.parametrize("build", [gru, lstm])
def test_a_recurrent_layer_has_no_stream_though_it_adds_step_to_step(build) -> None:
    """Of a GRU one step's part of the input is added to what came of the step before."""
    assert residual(build) == set()


class Cell(nn.Module):
    """A recurrence by hand, its part of the input made for all steps at once; `around` adds it to a stream."""

    def __init__(self, width, around=False):
        super().__init__()
        self.embed, self.readout, self.around = nn.Embedding(16, width), nn.Linear(width, 16), around
        self.of_input, self.of_state, self.out = (nn.Linear(width, width) for _ in range(3))

    def forward(self, tokens):
        x = self.embed(tokens)
        given, states = self.of_input(x), []
        state = torch.zeros_like(given[:, 0])
        for t in range(tokens.shape[1]):
            state = torch.tanh(given[:, t] + self.of_state(state))
            states.append(state)
        made = self.out(torch.stack(states, 1))
        return self.readout(x + made if self.around else made)


class Steps(Cell):
    """The last step alone is added to, and it is cut out twice."""

    def forward(self, tokens):
        x = self.embed(tokens)
        last = x[:, -1] + self.out(torch.tanh(self.of_input(x[:, -1])))
        return self.readout(last + self.of_state(torch.tanh(x.cumsum(1)))[:, -1])


def test_steps_of_a_sequence_are_values_of_their_own() -> None:
    assert residual(Cell) == set()
    assert residual(partial(Cell, around=True)) == {"out.weight"}
    assert residual(Steps) == {"out.weight", "of_state.weight"}


def test_experts_that_got_no_token_in_the_trace_are_what_the_others_are() -> None:
    """Equal tokens all go to the same two of four experts."""
    found = find_roles(routed, width=32, overrides={"router.weight": "hidden"})
    writers = {name for name, role in found.items() if role == "residual"}
    assert writers == {f"experts.{number}.down.weight" for number in range(4)}


def test_what_a_router_weighs_still_writes_to_the_stream() -> None:
    """Its weights mix experts and leave every feature what it is."""
    found = find_roles(stacked, width=32, overrides={ROUTER: "hidden"})
    assert (found["experts.up"], found["experts.down"]) == ("hidden", "residual")


class Bent(nn.Module):
    """Weighs experts with values that matrices make: nothing tells whose features come out."""

    def __init__(self, width):
        super().__init__()
        self.embed, self.readout = nn.Embedding(16, width), nn.Linear(width, 16)
        self.a, self.b, self.c = (nn.Linear(width, width, bias=False) for _ in "abc")

    def forward(self, tokens):
        x = self.embed(tokens)
        return self.readout(x + self.a(x) @ self.b(x).transpose(1, 2) @ self.c(x).relu())


def test_a_product_of_what_matrices_made_is_none_of_theirs() -> None:
    assert residual(Bent) == set()
