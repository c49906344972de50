"""A vector lies inside a block where the factory's second depth, or a repetition, shows it; else it is refused."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from roles_told import find_roles
from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.tasks.models.gpt import GPT
from hptransfer.tasks.models.mlp import MLP

WIDTH = 16


def in_blocks(build, depth=2, **said) -> set[str]:
    """The vectors that lie inside a block; the others have the role `vector`."""
    told = find_roles(build, width=WIDTH, other_width=2 * WIDTH, depth=depth, overrides=said, blocks=True)
    assert set(told.values()) <= {"embedding", "hidden", "residual", "readout", "vector", "block_vector"}
    return {name for name, role in told.items() if role == "block_vector"}


class Block(nn.Module):
    """A norm and two matrices, the second of which writes to the stream."""

    def __init__(self, width, inside=1):
        super().__init__()
        self.norm = nn.LayerNorm(width, bias=False)
        self.up, self.down = nn.Linear(width, inside * width, bias=False), nn.Linear(inside * width, width, bias=False)


class Net(nn.Module):
    """Embedding, a norm of it, what the test adds, a final norm, readout."""

    residual_outputs = ("*.down.weight",)

    def __init__(self, width, **parts):
        super().__init__()
        self.embed, self.embed_norm = nn.Embedding(8, width), nn.LayerNorm(width)
        for name, part in parts.items():
            self.add_module(name, part)
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, 8)


OUTSIDE = ("embed_norm.weight", "embed_norm.bias", "norm.weight", "norm.bias", "readout.bias")
SAID = dict.fromkeys(OUTSIDE, "vector")


def blocks(width, number):
    return [Block(width) for _ in range(number)]


def listed(width, depth=2):
    return Net(width, blocks=nn.ModuleList(blocks(width, depth)))


NORMS = {"blocks.0.norm.weight", "blocks.1.norm.weight"}


# --- told by a second depth


@pytest.mark.parametrize("depth", [1, 2])
def test_the_children_of_a_list_that_grows_are_blocks_and_the_norms_before_and_behind_it_are_not(depth):
    assert in_blocks(listed, depth) == {f"blocks.{i}.norm.weight" for i in range(depth)}


def test_our_own_models():
    gpt = in_blocks(partial(GPT, head_size=8, bias=True, qk_norm=True), 3)
    assert len(gpt) == 3 * (4 + 6 + 4)  # a block's two norms, six biases, and norms of queries and keys
    assert {"blocks.2.attention.query_norm.weight", "blocks.0.ffn.down.bias"} < gpt
    assert in_blocks(MLP) == NORMS


def neighbours(width, depth=2):
    return Net(width, **{f"block{i}": block for i, block in enumerate(blocks(width, depth))})


def test_blocks_as_attributes_are_neighbours_named_alike():
    assert in_blocks(neighbours) == {"block0.norm.weight", "block1.norm.weight"}


def test_blocks_of_one_dict_may_have_any_names():
    def build(width, depth=2):
        return Net(width, blocks=nn.ModuleDict(zip("abcdef", blocks(width, depth), strict=False)))

    assert in_blocks(build) == {"blocks.a.norm.weight", "blocks.b.norm.weight"}


def test_one_sequential_of_the_whole_model():
    def build(width, depth=2):
        ends = nn.Embedding(8, width), nn.LayerNorm(width), nn.Linear(width, 8)
        return nn.Sequential(ends[0], *blocks(width, depth), *ends[1:])

    assert in_blocks(build) == {"1.norm.weight", "2.norm.weight"}


def test_layers_of_one_sequential_without_blocks_of_their_own():
    """The first and the last layer repeat no other; a final norm that looks as those between cannot be told."""

    def build(width, depth=2, final=False):
        inner = [layer for _ in range(depth) for layer in (nn.LayerNorm(width), nn.Linear(width, width))]
        return nn.Sequential(nn.Linear(4, width), *inner, *[nn.LayerNorm(width)] * final, nn.Linear(width, 8))

    assert in_blocks(build) == {f"{i}.{leaf}" for i in range(1, 5) for leaf in ("weight", "bias")} - {
        "2.weight",
        "4.weight",
    }
    with pytest.raises(InputError, match=r"1\.weight: cannot tell whether this vector lies inside a block"):
        in_blocks(partial(build, final=True))


def test_stages_and_two_stacks():
    def staged(width, depth=1):
        stages = nn.ModuleList(nn.Module() for _ in range(2))
        for stage in stages:
            stage.blocks, stage.norm = nn.ModuleList(blocks(width, depth)), nn.LayerNorm(width)
        return Net(width, stages=stages)

    def both_ways(width, depth=2):
        return Net(width, encoder=nn.Sequential(*blocks(width, depth)), decoder=nn.Sequential(*blocks(width, depth)))

    assert in_blocks(staged, 1) == {f"stages.{i}.blocks.0.norm.weight" for i in range(2)}
    assert in_blocks(both_ways) == {f"{side}.{i}.norm.weight" for side in ("encoder", "decoder") for i in range(2)}


def test_a_list_inside_a_block_is_no_stack_and_neither_is_one_that_does_not_grow():
    def build(width, depth=2):
        net = listed(width, depth)
        for block in net.blocks:
            block.experts = nn.ModuleList(blocks(width, 3))
        net.finals = nn.ModuleList(nn.LayerNorm(width, bias=False) for _ in range(2))
        return net

    experts = {f"blocks.{i}.experts.{j}.norm.weight" for i in range(2) for j in range(3)}
    assert in_blocks(build) == NORMS | experts


def test_a_first_block_of_another_size_and_blocks_that_alternate():
    def dense_first(width, depth=2):
        return Net(width, blocks=nn.ModuleList([Block(width, inside=4), *blocks(width, depth - 1)]))

    class Other(Block):
        pass

    def alternating(width, depth=2):
        return Net(width, blocks=nn.ModuleList((Other if i % 2 else Block)(width) for i in range(depth)))

    assert in_blocks(dense_first) == in_blocks(alternating) == NORMS


def test_norms_in_a_list_of_their_own_must_be_as_many_as_blocks():
    def build(width, depth=2, more=0):
        norms = (nn.LayerNorm(width, bias=False) for _ in range(depth + more))
        return Net(width, blocks=nn.ModuleList(blocks(width, depth)), norms=nn.ModuleList(norms))

    assert in_blocks(build) == NORMS | {"norms.0.weight", "norms.1.weight"}
    with pytest.raises(InputError, match=r"norms\.0\.weight: cannot tell .*3 such"):
        in_blocks(partial(build, more=1))


def test_a_tensor_that_grows_with_depth_holds_something_for_each_block():
    def build(width, depth=2):
        net = listed(width, depth)
        net.gains = nn.Parameter(torch.ones(depth))
        net.each = nn.ParameterList(torch.ones(width) for _ in range(depth))
        return net

    assert in_blocks(build) == NORMS | {"gains", "each.0", "each.1"}


def test_a_shared_block_in_a_list_counts_under_all_its_names():
    def build(width, depth=2):
        block = Block(width)
        return Net(width, block=block, blocks=nn.ModuleList([block] * depth))

    assert in_blocks(build) == {"block.norm.weight"}


def test_a_factory_that_takes_only_some_depths():
    def build(width, depth=4):
        if depth not in (2, 4):
            raise ValueError("2 or 4")
        return neighbours(width, depth)

    assert in_blocks(build, 4) == {f"block{i}.norm.weight" for i in range(4)}


# --- told by repetition, where depth changes nothing


def test_as_many_composite_children_as_the_model_has_blocks_are_the_stack():
    assert in_blocks(lambda width: listed(width, 3), 3) == {f"blocks.{i}.norm.weight" for i in range(3)}
    with pytest.raises(InputError, match="cannot tell whether this vector lies inside a block"):
        in_blocks(lambda width: listed(width, 3), 2)


# --- refused


def shared(width, depth=2):
    """One block, applied `depth` times."""
    return Net(width, block=Block(width))


def shared_with_experts(width, depth=2):
    """As many experts as the block is applied times: its own residual matrix shows that they are not the stack."""
    net = shared(width)
    net.block.experts = nn.ModuleList(blocks(width, depth))
    return net


def unrolled(width):
    return Net(width, block1=Block(width), block2=Block(width))


def one_stack_of_two(width, depth=2):
    """The decoder has blocks too, but of a number of its own."""
    return Net(width, encoder=nn.ModuleList(blocks(width, depth)), decoder=nn.ModuleList(blocks(width, 1)))


def unlike(width, depth=1):
    """Depth adds a block that is named as no other."""
    return Net(width, first=Block(width), **({"second": Block(width)} if depth > 1 else {}))


def undeclared(build):
    """The same model, which does not say what writes to the residual stream."""

    def silent(width, depth=2):
        net = build(width, depth)
        net.residual_outputs = ()
        return net

    return silent


def unlike_beside_a_stack(width, depth=2):
    net = listed(width, depth)
    if depth > 2:
        net.second = Block(width)
    return net


def single_layers(width):
    """Layers without parts: as well a branch of two layers as a stack of two."""
    return Net(width, layers=nn.ModuleList(nn.Linear(width, width) for _ in range(2)), norm_of=nn.LayerNorm(width))


REFUSED = (shared, shared_with_experts, unrolled, one_stack_of_two, unlike, single_layers)
SILENT = (undeclared(shared), undeclared(unlike_beside_a_stack))


@pytest.mark.parametrize("build", [*REFUSED, *SILENT])
def test_what_cannot_be_told_is_refused_and_can_be_said(build):
    depth = 1 if build is unlike else 2
    with pytest.raises(InputError, match=r"embed_norm\.weight: cannot tell whether this vector .*block_vector"):
        in_blocks(build, depth)
    inside = {name for name, _ in build(WIDTH).named_parameters() if name.endswith(".norm.weight")}
    more = {"layers.*.bias": "vector", "norm_of.*": "vector"} if build is single_layers else {}
    said = {**SAID, **more, **({"*.norm.weight": "block_vector"} if inside else {})}
    assert in_blocks(build, depth, **said) == inside


def test_a_list_of_norms_beside_a_stack_that_no_depth_changes_is_refused():
    def build(width):
        norms = nn.ModuleList(nn.LayerNorm(width, bias=False) for _ in range(2))
        return Net(width, blocks=nn.ModuleList(blocks(width, 2)), finals=norms)

    with pytest.raises(InputError, match=r"finals\.0\.weight: cannot tell .*2 such"):
        in_blocks(build)
    assert in_blocks(build, **{"finals.*": "vector"}) == NORMS


def test_a_model_may_say_it():
    class Telling(Net):
        parameter_roles = {**SAID, "*.norm.weight": "block_vector"}  # noqa: RUF012

    assert in_blocks(lambda width: Telling(width, block=Block(width))) == {"block.norm.weight"}


def test_a_word_of_the_users_stands_against_what_is_seen():
    assert in_blocks(listed, **{"blocks.0.*.weight": "vector"}) == {"blocks.1.norm.weight"}


def test_a_pattern_that_takes_the_matrices_of_a_block_is_refused():
    with pytest.raises(InputError, match=r"blocks\.0\.up\.weight: this tensor grows on two sides"):
        in_blocks(listed, **{"blocks.*": "block_vector"})


def test_nothing_is_asked_of_a_model_whose_rule_tells_no_blocks():
    told = find_roles(shared, width=WIDTH, other_width=2 * WIDTH, depth=2)
    assert told["block.norm.weight"] == told["norm.weight"] == "vector"
