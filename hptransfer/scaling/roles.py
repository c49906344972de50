"""What each parameter is, found by building the factory at two widths on the meta device.

The dimensions that changed, together with the type of the module that owns the parameter, give its role. Where that
is not enough the model may say it (class attributes `parameter_roles`, `residual_outputs`, `attention_queries`), or
the user (`roles`, `queries`); otherwise the parameter is refused by name. Where nobody says it, a traced forward pass
tells the queries and what writes to the residual stream.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.blocks import vectors_in_blocks
from hptransfer.scaling.build_model import Build, build_model, build_wider, takes_depth
from hptransfer.scaling.dimensions import FeatureDims, InitKind, feature_dims, initial_kind, is_depthwise, is_embedding
from hptransfer.scaling.facts import MultiplierPlace, Survey, TensorFacts, Use
from hptransfer.scaling.patterns import refuse_unmatched
from hptransfer.scaling.queries import asks_for_trace, with_queries
from hptransfer.scaling.rules import ROLES, VECTORS, Role
from hptransfer.scaling.said_role import TRANSPOSED, said_role
from hptransfer.scaling.trace.sample import Sample
from hptransfer.scaling.trace.trace import trace_model
from hptransfer.scaling.writers import declares_writers, writers_of

__all__ = ["survey"]


@lru_cache(maxsize=256)
def survey(
    build: Build,
    *,
    width: int,
    base_width: int,
    depth: int | None = None,
    roles: tuple[tuple[str, str], ...] = (),
    queries: tuple[str, ...] | None = None,
    blocks: bool = False,
    sample: Sample | None = None,
) -> Survey:
    """Build at both widths on the meta device and tell every parameter; cached by the factory object and the rest.

    `roles` are pairs of a parameter's pattern and its role, the first that matches counts. With `blocks`, and with a
    depth, vectors inside a block have a role of their own. `sample` is what the model is called with where its forward
    pass is traced.
    """
    model = build_model(build, width, depth, device="meta")
    if width != base_width:
        base = other = build_model(build, base_width, depth, device="meta")
    else:
        base, other = model, build_wider(build, width, depth)
    shapes, base_shapes, other_shapes = (
        {n: tuple(p.shape) for n, p in m.named_parameters()} for m in (model, base, other)
    )
    _check_growth(shapes, other_shapes, width)
    traced = functools.partial(trace_model, build, depth=depth, sample=sample)
    writers = () if declares_writers(model) else writers_of(traced(width=width), tuple(shapes))
    reader = _Reader(model, other_shapes, dict(roles), writers, lambda: traced(width=width).sums)
    told = reader.roles()
    if not declares_writers(model):
        reader.refuse_hidden_ties(told)
    if blocks and depth is not None:
        asked = [name for name, role in told.items() if role == "vector" and not reader.is_said(name)]
        found = vectors_in_blocks(build, model, told, asked, width=width, depth=depth)
        told |= dict.fromkeys(found, "block_vector")
    facts = tuple(reader.facts(name, role, base_shapes[name]) for name, role in told.items())
    if not any(t.role in ("hidden", "residual") for t in facts):
        raise InputError(
            "the model has no hidden matrix (one whose inputs and outputs both grow with width): no rule to apply",
            where="build",
            found=", ".join(f"{t.name} {t.shape}" for t in facts[:4]),
        )
    grows = width != base_width and asks_for_trace(model, queries)
    traces = (traced(width=width), traced(width=base_width)) if grows else None
    told_all = with_queries(facts, model, base, queries, traces)
    depth_tells = takes_depth(build) and depth is not None
    return replace(told_all, additions=0 if depth_tells else traced(width=width).additions)


def _check_growth(shapes: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]], width: int) -> None:
    if not shapes:
        raise InputError("the model has no parameters", where="build", found=f"width {width}")
    if shapes.keys() != other.keys():
        odd = sorted(shapes.keys() ^ other.keys())[0]
        raise InputError("the factory builds other parameters at another width", where="build", found=odd)
    if all(shapes[n] == other[n] for n in shapes):
        raise InputError(
            "the factory ignores 'width': no parameter changed its shape",
            where="build",
            found=", ".join(f"{n} {s}" for n, s in list(shapes.items())[:3]),
        )
    for name, shape in shapes.items():
        if len(shape) != len(other[name]):
            raise InputError("the number of dimensions changes with the width", where=name, found=(shape, other[name]))


class _Reader:
    """Reads the roles of one model. Holds what is needed to look at a parameter; keeps no state between calls."""

    def __init__(
        self,
        model: nn.Module,
        other_shapes: Mapping[str, tuple[int, ...]],
        overrides: dict[str, str],
        writers: Sequence[str] = (),
        sums: Callable[[], Mapping[str, tuple[int, ...]]] = dict,
    ) -> None:
        self.model = model
        self.parameters = dict(model.named_parameters())
        self.every_name = dict(model.named_parameters(remove_duplicate=False))
        self.other_shapes = other_shapes
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.overrides = overrides
        self.declared: dict[str, str] = dict(getattr(model, "parameter_roles", {}))
        self.residual_patterns: tuple[str, ...] = tuple(getattr(model, "residual_outputs", ()))
        self.writers = frozenset(writers)
        self.sums = sums
        refuse_unmatched(overrides, self.every_name, where="roles")

    def roles(self) -> dict[str, Role]:
        """Role by first name, or a refusal that names the parameter."""
        told: dict[str, Role] = {}
        inputs: list[str] = []
        outputs: list[str] = []
        for name in self.parameters:
            said = self._said(name)
            seen = said[0] if said else self._seen(name)
            if seen == "input?":
                inputs.append(name)
            elif seen == "output?":
                outputs.append(name)
            else:
                told[name] = seen
        told |= dict.fromkeys(self._settle_outputs(outputs, told), "readout")
        told |= dict.fromkeys(self._settle_inputs(inputs), "embedding")
        return {name: self._residual(name, told[name]) for name in self.parameters}

    def facts(self, name: str, role: Role, base_shape: tuple[int, ...]) -> TensorFacts:
        """Everything about one parameter but its query part."""
        module_name, _, leaf = name.rpartition(".")
        module = self.modules[module_name]
        shape = tuple(self.parameters[name].shape)
        init: InitKind = "normal" if role not in VECTORS else initial_kind(module, leaf)
        # A module that is listed twice uses its tensor once: its hooks act at every call.
        by_module = {id(self.modules[n.rpartition(".")[0]]): n for n in reversed(self._names(name))}
        uses = [self._use(n, role) for n in self._names(name) if n in by_module.values()]
        uses.sort(key=lambda use: use.role != role)  # stable: the use in its own role comes first
        return TensorFacts(name, role, shape, base_shape, self._dims(name, role), init, tuple(uses))

    # --- what the user or the model said

    def is_said(self, name: str) -> bool:
        """Whether the user or the model named the role of this parameter."""
        return self._said(name) is not None

    def _said(self, name: str) -> tuple[Role, bool] | None:
        """Role and whether the matrix is stored as (in, out), as said by the user first, else by the model."""
        names = self._names(name)
        for source, where in ((self.overrides, "roles"), (self.declared, "parameter_roles")):
            for pattern, text in source.items():
                if any(fnmatchcase(n, pattern) for n in names):
                    return said_role(text, where=f"{where}.{pattern}")
        return None

    # --- what module type and growth tell

    def _seen(self, name: str) -> Any:
        """A role, or "input?" / "output?" for a matrix with one growing side that is no look-up table."""
        shape, grows = tuple(self.parameters[name].shape), self._grows(name)
        if len(shape) < 2 or not any(grows):
            return "vector"
        table, module = self._owners(name)
        module = table or module
        dims = feature_dims(module, shape)
        if dims is None and sum(n > 1 for n in shape) == 1:
            return "vector"  # a bare (1, 1, d); in a module that tells inputs from outputs, 1 is a size like any other
        dims = dims or self._traced_dims(name)
        if dims is None:
            raise InputError(
                f"cannot tell the role of this parameter of shape {shape} in a {type(module).__name__}",
                where=name,
                allowed=", ".join(ROLES),
                hint=f'say it: roles={{"{name}": …}}, "vector" where its numbers are multiplied or added one by one,'
                ' "embedding" for a table of places, "hidden" where it is summed over (stored as out × in; "hidden^T"'
                " for in × out)",
            )
        outgrows, ingrows = any(grows[d] for d in dims.out), any(grows[d] for d in dims.inp)
        if table is not None:
            if ingrows:
                raise InputError("an embedding whose number of rows grows with the width", where=name, found=shape)
            return "embedding"
        if outgrows and ingrows:
            return "hidden"
        if outgrows:
            return "vector" if is_depthwise(module) else "input?"
        return "output?"

    def _settle_outputs(self, candidates: list[str], told: Mapping[str, Role]) -> list[str]:
        """The readout among matrices with growing inputs and fixed outputs: the declared one, else the only one."""
        getter = getattr(self.model, "get_output_embeddings", None)  # Hugging Face's way to declare it
        head = getter() if callable(getter) else None
        own = {id(p) for p in head.parameters(recurse=False)} if isinstance(head, nn.Module) else set()
        declared = [n for n in candidates if id(self.parameters[n]) in own]
        rest = [n for n in candidates if n not in declared]
        has_one = bool(declared) or any(
            role == "readout" or (role == "embedding" and self._used_as_readout(name)) for name, role in told.items()
        )
        if not rest or (len(rest) == 1 and not has_one):
            return declared or rest
        what = "this matrix with growing inputs and fixed outputs is the readout"
        raise _unsettled(rest, what, '"readout"} for unembeddings')

    def _settle_inputs(self, candidates: list[str]) -> list[str]:
        """The input layer among matrices with fixed inputs: the only one, in a model without a look-up table."""
        has_table = any(is_embedding(module) for module in self.modules.values())
        if not candidates or (len(candidates) == 1 and not has_table):
            return candidates
        what = "this matrix with fixed inputs and growing outputs is an embedding of the input"
        raise _unsettled(candidates, what, '"embedding"} for input layers')

    def _residual(self, name: str, role: Role) -> Role:
        writes = name in self.writers or any(fnmatchcase(name, pattern) for pattern in self.residual_patterns)
        return "residual" if role == "hidden" and writes and not self.is_said(name) else role

    def refuse_hidden_ties(self, told: Mapping[str, Role]) -> None:
        """Refuse a look-up table that is multiplied past its module: no multiplier could act on that use of it."""
        for name, role in told.items():
            table, _ = self._owners(name)
            if role == "embedding" and table is not None and not self._used_as_readout(name) and name in self.sums():
                raise InputError(
                    "the forward pass multiplies with this table past its module, where no multiplier can act for a"
                    " readout",
                    where=name,
                    hint="tie it as a module: a linear layer without bias, and head.weight = embed.weight",
                )

    # --- layout and places

    def _dims(self, name: str, role: Role) -> FeatureDims:
        shape, grows = tuple(self.parameters[name].shape), self._grows(name)
        every = tuple(range(len(shape)))
        if role in VECTORS:
            if role == "block_vector" and sum(grows) > 1:
                raise InputError(
                    "this tensor grows on two sides: it is a matrix, and no block_vector",
                    where=name,
                    found=shape,
                    hint="a pattern under roles takes the matrices of a block too: name its norms and biases",
                )
            return FeatureDims(out=every, inp=())
        said = self._said(name)
        table, module = self._owners(name)
        dims = feature_dims((role == "embedding" and table) or module, shape)
        if dims is not None and not (said and said[1]):
            return dims
        if dims is None and (dims := self._traced_dims(name)) is not None:
            if said and said[1] and dims.inp != (len(shape) - 2,):
                raise InputError(
                    "is said to be stored as (in, out), but the forward pass sums over its last dimension",
                    where=name,
                    found=shape,
                    hint=f'leave the "{TRANSPOSED}" away',
                )
            return dims
        growing, fixed = tuple(d for d in every if grows[d]), tuple(d for d in every if not grows[d])
        if role == "embedding":
            return FeatureDims(out=growing, inp=fixed)
        if role == "readout":
            return FeatureDims(out=fixed, inp=growing)
        if len(shape) < 2:
            raise InputError(
                f"a tensor of shape {shape} cannot be {role}",
                where=name,
                allowed=", ".join(VECTORS),
                hint="a pattern under roles takes norms and biases too: say those first, the first match wins",
            )
        *stack, first, second = every  # a stack of matrices, as experts are kept
        out, inp = (second, first) if said and said[1] else (first, second)
        return FeatureDims(out=(*stack, out), inp=(inp,))

    def _traced_dims(self, name: str) -> FeatureDims | None:
        """The layout of a parameter whose owner's type says nothing, by what the forward pass sums over."""
        summed = self.sums().get(name)
        every = range(len(self.parameters[name].shape))
        return FeatureDims(tuple(d for d in every if d not in summed), summed) if summed else None

    def _use(self, name: str, role: Role) -> Use:
        """The module whose input or output carries the multiplier of a tensor under one of its names."""
        role = self._tied_role(name, role)
        if role not in ("embedding", "residual", "readout"):
            return Use(name, role)
        at: MultiplierPlace = "input" if role == "readout" else "output"
        module_name = name.rpartition(".")[0]
        parent = module_name.rpartition(".")[0]
        if role == "residual" and module_name and isinstance(self.modules[parent], nn.MultiheadAttention):
            return Use(name, role, parent, at)  # nn.MultiheadAttention reads its out_proj's weight and never calls it
        matrices = [p for p in self.modules[module_name].parameters(recurse=False) if p.dim() > 1]
        if module_name and len(matrices) == 1:
            return Use(name, role, module_name, at)
        if role == "embedding" or name in self.writers:
            return Use(name, role)  # a bare parameter: no activation of its own to multiply
        raise InputError(f"this {role} has no module of its own on which a multiplier could act", where=name)

    def _grows(self, name: str) -> tuple[bool, ...]:
        return tuple(a != b for a, b in zip(self.parameters[name].shape, self.other_shapes[name], strict=True))

    def _names(self, name: str) -> tuple[str, ...]:
        """This name of a tensor, then its others, if it is tied."""
        tensor = self.every_name[name]
        return (name, *(n for n, p in self.every_name.items() if p is tensor and n != name))

    def _owners(self, name: str) -> tuple[nn.Module | None, nn.Module]:
        """The look-up table that owns the tensor under any of its names, and its owner under this one."""
        owners = [self.modules[n.rpartition(".")[0]] for n in self._names(name)]
        return next((m for m in owners if is_embedding(m)), None), owners[0]

    def _tied_role(self, alias: str, role: Role) -> Role:
        if role != "embedding" or len(self._names(alias)) == 1:
            return role
        return "embedding" if is_embedding(self.modules[alias.rpartition(".")[0]]) else "readout"

    def _used_as_readout(self, name: str) -> bool:
        return any(self._tied_role(alias, "embedding") == "readout" for alias in self._names(name))


def _unsettled(names: Sequence[str], what: str, say: str) -> InputError:
    return InputError(
        f"cannot tell whether {what}",
        where=names[0],
        found=f"{len(names)} such: " + ", ".join(names[:4]),
        allowed=", ".join(ROLES),
        hint=f'say it for each: roles={{"pattern": {say}, "hidden" for the others, such as low-rank factors',
    )
