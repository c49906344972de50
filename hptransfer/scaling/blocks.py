"""Which vectors lie inside a block: CompleteP scales these with the depth, and not those of the final norm.

The factory is built at a second depth. A list that has gained children is a stack, and its children are blocks; so are
like-named neighbours (`block1`, `block2`) that have gained one. Where depth changes no parameter, a list of as many
composite children of one structure as the model has blocks is the stack. What neither tells is refused by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import Build, build_model
from hptransfer.scaling.rules import VECTORS, Role

__all__ = ["vectors_in_blocks"]

_Kind = tuple[Any, ...]
"""What blocks of one kind have in common: the class, and names and shapes of the parameters beneath."""

_LISTS = (nn.ModuleList, nn.Sequential, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def vectors_in_blocks(
    build: Build, model: nn.Module, roles: Mapping[str, Role], asked: Sequence[str], *, width: int, depth: int
) -> tuple[str, ...]:
    """Of the vectors asked for, those that lie inside a block.

    `roles` are those of every parameter of `model`, the factory's at this width and depth, under its first name. The
    first vector that could lie on either side is refused.
    """
    tree = _Tree(model, roles)
    other = _at_another_depth(build, tree, width, depth)
    stacks = _by_growth(tree, depth, *other) if other else _by_repetition(tree, depth)
    # A matrix that writes to the residual stream makes a block of where it lies: one outside was missed.
    written = [name for name, role in roles.items() if role == "residual"]
    whole = stacks.whole and all(tree.lies_in(stacks.inside, name) for name in written)
    inside = tuple(name for name in asked if tree.lies_in(stacks.inside, name))
    untold = [n for n in asked if n not in inside and (not whole or tree.lies_in(stacks.unsure, n))]
    if untold:
        raise InputError(
            "cannot tell whether this vector lies inside a block that repeats with depth, which the rule scales apart",
            where=untold[0],
            found=f"{len(untold)} such: " + ", ".join(untold[:4]),
            allowed=", ".join(VECTORS),
            hint=f'say it of each: roles={{"{untold[0]}": "block_vector"}}, or "vector" outside of the blocks; a model'
            " says it in parameter_roles",
        )
    return inside


@dataclass(frozen=True, slots=True)
class _Stacks:
    """Nodes of a model's tree: the blocks, and what may be one."""

    inside: Set[str]
    unsure: Set[str]
    whole: bool = True
    """Whether every block was found, so that what lies in neither is outside."""


class _Tree:
    """A model's modules and parameters by their full names, shared ones under each of their names."""

    def __init__(self, model: nn.Module, roles: Mapping[str, Role] | None = None) -> None:
        self.modules = dict(model.named_modules(remove_duplicate=False))
        every = dict(model.named_parameters(remove_duplicate=False))
        self.shapes = {name: tuple(parameter.shape) for name, parameter in every.items()}
        self.names: dict[str, list[str]] = {}
        """Every name of a parameter, by its first."""
        firsts = {id(parameter): name for name, parameter in model.named_parameters()}
        self.children: dict[str, dict[str, None]] = {}
        self.beneath: dict[str, dict[str, tuple[int, ...]]] = {}
        self.with_matrix: set[str] = set()
        for name, parameter in every.items():
            first = firsts[id(parameter)]
            self.names.setdefault(first, []).append(name)
            for node in _path(name):
                self.children.setdefault(node.rpartition(".")[0], {})[node] = None
                self.beneath.setdefault(node, {})[name[len(node) :]] = self.shapes[name]
                if roles and roles[first] in ("hidden", "residual"):
                    self.with_matrix.add(node)

    def lies_in(self, nodes: Set[str], first: str) -> bool:
        """Whether a parameter is one of the nodes, or beneath one, under any of its names."""
        return any(node in nodes for name in self.names[first] for node in _path(name))

    def structure(self, node: str) -> _Kind:
        return (type(self.modules.get(node)), *self.beneath[node].items())

    def is_composite(self, node: str) -> bool:
        return node in self.modules and any(True for _ in self.modules[node].children())

    def groups(self) -> dict[tuple[str, str], list[str]]:
        """Children that may be a stack, by parent and pattern of the name: all of a list, else those named alike."""
        found: dict[tuple[str, str], list[str]] = {}
        for parent, children in self.children.items():
            in_list = isinstance(self.modules.get(parent), _LISTS)
            for node in children:
                like = "" if in_list else re.sub(r"\d+", "#", node[len(parent) :])
                found.setdefault((parent, like), []).append(node)
        return found


def _path(name: str) -> Iterator[str]:
    """`a`, `a.b`, `a.b.c` of `a.b.c`."""
    return accumulate(name.split("."), "{}.{}".format)


def _at_another_depth(build: Build, tree: _Tree, width: int, depth: int) -> tuple[_Tree, int] | None:
    """The model at a second depth; twice first, at which blocks that alternate keep their pattern.

    None where depth changes no parameter or no other depth can be built.
    """
    for other in (2 * depth, depth + 1, max(depth // 2, 1)):
        try:
            built = _Tree(build_model(build, width, other, device="meta"))
        except Exception:  # a user's factory may refuse a depth with anything; then the next may do
            continue
        return (built, other) if built.shapes != tree.shapes else None
    return None


def _by_growth(tree: _Tree, depth: int, other: _Tree, other_depth: int) -> _Stacks:
    inside: set[str] = set()
    unsure: set[str] = set()
    changed: set[str] = set()
    whole = True
    groups, other_groups = tree.groups(), other.groups()
    for key in sorted(groups | other_groups, key=lambda key: len(key[0])):  # a parent before what is beneath it
        here, there = groups.get(key, []), other_groups.get(key, [])
        if set(here) == set(there) or any(node in changed for node in _path(key[0])):
            continue
        changed |= {*here, *there}
        if not set(here) & set(there):  # depth adds something that is like nothing there was
            whole = False
            continue
        counts, others = Counter(map(tree.structure, here)), Counter(map(other.structure, there))
        deep, blocks = (counts, depth) if depth > other_depth else (others, other_depth)
        repeated = {kind for kind in counts if counts[kind] != others[kind]}
        blocks_here, unsure_here = _sorted(tree, here, repeated, {kind for kind in deep if deep[kind] % blocks == 0})
        inside |= blocks_here
        unsure |= unsure_here
    # A tensor that grows with depth itself holds something for each block.
    grown = {name for name, shape in tree.shapes.items() if other.shapes.get(name, shape) != shape}
    inside |= {name for name in grown if not any(node in changed for node in _path(name))}
    return _Stacks(inside, unsure, whole)


def _by_repetition(tree: _Tree, depth: int) -> _Stacks:
    inside: set[str] = set()
    unsure: set[str] = set()
    sizes = []
    for (parent, _), children in tree.groups().items():
        is_list = isinstance(tree.modules.get(parent), _LISTS)
        if not is_list or any(node in inside for node in _path(parent)):
            continue
        counts = Counter(map(tree.structure, children))
        repeated = {kind for kind in counts if counts[kind] > 1}
        repeats = {node for node in children if tree.structure(node) in repeated}
        if any(node in tree.with_matrix and tree.is_composite(node) for node in repeats):
            blocks, unsure_here = _sorted(tree, children, repeated, {k for k in counts if counts[k] % depth == 0})
            inside |= blocks
            unsure |= unsure_here
            sizes.append(len(blocks & tree.with_matrix))
        else:
            unsure |= repeats
    whole = set(sizes) == {depth} or sum(sizes) == depth
    return _Stacks(inside, unsure) if whole else _Stacks(set(), set(), whole=False)


def _sorted(tree: _Tree, children: Sequence[str], repeated: Set[_Kind], even: Set[_Kind]) -> tuple[set[str], set[str]]:
    """The children of one stack that are blocks and those that may be, by the kinds that repeat in it.

    Others may stand among the blocks, as in an `nn.Sequential` of a whole model. With a matrix, a child is a block if
    its kind repeats, or if it is of a composite class that repeats (a first block of another size). Without one, it is
    part of a block if its kind is `even`, as many as a multiple of the blocks: a final norm would be one too many.
    """
    inside: set[str] = set()
    unsure: set[str] = set()
    classes = {type(tree.modules[n]) for n in children if tree.is_composite(n) and tree.structure(n) in repeated}
    for node in children:
        kind = tree.structure(node)
        if node in tree.with_matrix:
            alike = kind in repeated or type(tree.modules.get(node)) in classes
            (inside if alike else unsure).add(node)
        elif kind in repeated:
            (inside if kind in even else unsure).add(node)
    return inside, unsure
