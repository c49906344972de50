"""What writes to the residual stream: as declared, as traced, by a known name; and a depth rule where nothing does."""

from __future__ import annotations

from functools import partial

import pytest
from roles_told import find_roles
from traced_models import Net, Untraceable

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


def test_what_the_model_declares_wins() -> None:
    assert residual(Net) == {"h.0.attn.c_proj.weight", "h.0.down.weight"}
    assert residual(silenced) == set()


def test_known_names_stand_in_for_a_trace() -> None:
    assert residual(Untraceable) == {"h.0.attn.c_proj.weight"}
