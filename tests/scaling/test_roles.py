"""Roles are told from what grows and from the type of the owning module, or refused by name."""

from functools import partial

import pytest
import torch
from roles_told import find_roles
from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.roles import survey
from hptransfer.tasks.models.gpt import GPT
from hptransfer.tasks.models.mlp import MLP

roles_at_16 = partial(find_roles, width=16, other_width=32)


def sequential(*layers):
    """A factory from functions of the width."""
    return lambda width: nn.Sequential(*(layer(width) for layer in layers))


LINEAR = (lambda w: nn.Linear(8, w), lambda w: nn.Linear(w, w), lambda w: nn.Linear(w, 3))


def test_gpt():
    roles = find_roles(partial(GPT, head_size=8, bias=True), width=16, other_width=32, depth=1)
    assert roles["embed.weight"] == roles["position.weight"] == "embedding"
    assert {roles[f"blocks.0.attention.{n}.weight"] for n in ("query", "key", "value")} == {"hidden"}
    assert roles["blocks.0.attention.out.weight"] == roles["blocks.0.ffn.down.weight"] == "residual"
    assert roles["blocks.0.ffn.up.weight"] == "hidden"
    assert roles["blocks.0.ffn.up.bias"] == roles["norm.weight"] == "vector"
    assert roles["readout.weight"] == "readout"


def test_gpt_with_fixed_key_heads_tied_and_gated():
    build = partial(GPT, head_size=8, kv_heads=1, tied=True, activation="swiglu", norm="rms")
    roles = find_roles(build, width=16, other_width=32, depth=1)
    assert roles["blocks.0.attention.key.weight"] == "hidden"
    assert roles["blocks.0.ffn.gate.weight"] == "hidden"
    assert roles["embed.weight"] == "embedding"
    assert "readout.weight" not in roles  # one tensor, one role


def test_mlp_and_a_second_width_found_by_itself():
    roles = find_roles(MLP, width=16, depth=1)
    assert roles["blocks.0.up.weight"] == "hidden"
    assert roles["blocks.0.down.weight"] == "residual"


def test_a_plain_stack_of_linear_layers():
    roles = roles_at_16(sequential(*LINEAR))
    assert [roles[f"{i}.weight"] for i in range(3)] == ["embedding", "hidden", "readout"]
    assert {roles[f"{i}.bias"] for i in range(3)} == {"vector"}


def test_one_input_or_one_output_is_still_an_embedding_or_a_readout():
    roles = roles_at_16(sequential(lambda w: nn.Linear(1, w), LINEAR[1], lambda w: nn.Linear(w, 1)))
    assert [roles[f"{i}.weight"] for i in range(3)] == ["embedding", "hidden", "readout"]


def test_the_number_of_rows_does_not_matter_but_what_grows_does():
    """A vocabulary as large as the width makes every matrix square; shapes alone would not tell."""

    def build(width):
        return nn.Sequential(nn.Embedding(16, width), nn.Linear(width, width), nn.Linear(width, 16))

    assert list(roles_at_16(build).values()) == ["embedding", "hidden", "vector", "readout", "vector"]


def test_convolutions():
    roles = roles_at_16(
        sequential(
            lambda w: nn.Conv2d(3, w, 3),
            lambda w: nn.Conv2d(w, w, 3),
            lambda w: nn.Conv2d(w, w, 3, groups=w),
            lambda w: nn.ConvTranspose2d(w, 2 * w, 2),
            lambda w: nn.Conv2d(2 * w, 4, 1),
        )
    )
    assert [roles[f"{i}.weight"] for i in range(5)] == ["embedding", "hidden", "vector", "hidden", "readout"]


def test_two_candidates_for_the_readout_are_refused_and_can_be_told():
    build = sequential(*LINEAR[:2], lambda w: nn.Linear(w, 4), lambda w: nn.Linear(4, w), LINEAR[2])
    with pytest.raises(InputError, match=r"2\.weight: cannot tell .* is the readout.*4\.weight"):
        roles_at_16(build)
    told = {"2.weight": "hidden", "3.weight": "hidden"}
    assert roles_at_16(build, overrides=told)["4.weight"] == "readout"


def test_an_up_projection_beside_an_embedding_is_refused():
    build = sequential(
        lambda w: nn.Embedding(8, w), lambda w: nn.Linear(w, w), lambda w: nn.Linear(4, w), lambda w: nn.Linear(w, 8)
    )
    with pytest.raises(InputError, match=r"2\.weight: cannot tell .* embedding of the input"):
        roles_at_16(build)


class Bare(nn.Module):
    """A matrix without a module whose type tells what its dimensions are."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(*(layer(width) for layer in LINEAR))
        self.mix = nn.Parameter(torch.zeros(width, 2 * width))
        self.start = nn.Parameter(torch.zeros(1, 1, width))


def test_a_bare_matrix_is_refused_by_name():
    with pytest.raises(InputError, match=r"mix: cannot tell the role of this parameter of shape \(16, 32\)"):
        roles_at_16(Bare)
    roles = roles_at_16(Bare, overrides={"mix": "hidden^T"})
    assert roles["mix"] == "hidden"
    assert roles["start"] == "vector"


def test_a_module_that_is_listed_twice_is_one():
    """A block applied twice: one tensor, one place for its multiplier."""

    def build(width):
        block = nn.Module()
        block.down = nn.Linear(width, width)
        return nn.ModuleList([nn.Embedding(8, width), block, block, nn.Linear(width, 8)])

    found = survey(build, width=16, base_width=8, roles=(("*.down.weight", "residual"),))
    (down,) = (t for t in found.tensors if t.role == "residual")
    assert [(use.name, use.module) for use in down.uses] == [("1.down.weight", "1.down")]


def test_the_model_may_say_it():
    class Telling(Bare):
        parameter_roles = {"mix": "hidden"}  # noqa: RUF012

    assert roles_at_16(Telling)["mix"] == "hidden"


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (lambda width: nn.Linear(4, 4), {}, "ignores 'width'"),
        (lambda size: nn.Linear(size, 4), {}, "must take the keyword 'width'"),
        (sequential(LINEAR[0], LINEAR[2]), {}, "no hidden matrix"),
        (sequential(*LINEAR), {"overrides": {"9.*": "hidden"}}, r"roles: no parameter has such a name; found '9\.\*'"),
        (sequential(*LINEAR), {"overrides": {"1.*": "huge"}}, r"roles\.1\.\*: is not a role; found 'huge'"),
        (lambda width: nn.Sequential(), {}, "no parameters"),
        (
            lambda width: nn.Sequential(*(nn.Linear(8, 8) for _ in range(width))),
            {},
            "other parameters at another width",
        ),
        (sequential(lambda w: nn.Embedding(w, w), *LINEAR), {}, "number of rows grows"),
    ],
)
def test_bad_factories_and_overrides(build, arguments, message):
    with pytest.raises(InputError, match=message):
        roles_at_16(build, **arguments)
