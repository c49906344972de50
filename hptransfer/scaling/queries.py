"""Attention heads that grow with the width: whose projection of queries a rule scales, and who has not said.

What the model declares or the user names counts first, then what a traced forward pass shows, then an attribute
`head_size` or `head_dim` of a module, which tells that heads grow but not whose queries they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from torch import nn

from hptransfer.scaling.facts import MultiplierPlace, Rows, Survey, TensorFacts
from hptransfer.scaling.patterns import refuse_unmatched
from hptransfer.scaling.trace.trace import UNSEEN, Attention, Queries, Trace

__all__ = ["asks_for_trace", "with_queries"]


@dataclass(frozen=True, slots=True)
class _Growth:
    """An attention whose head size is another one than in the base: as traced, or as an attribute says."""

    module: str
    size: int
    base_size: int
    attention: Attention | None = None
    logits: float = 1.0

    def holds(self, name: str) -> bool:
        """Whether a module or parameter lies in it."""
        return not self.module or name == self.module or name.startswith(f"{self.module}.")


def asks_for_trace(model: nn.Module, queries: Sequence[str] | None) -> bool:
    """Whether a trace could tell what neither the user nor the model does. Of queries that are named it tells the
    rows."""
    return bool(_said(model, queries)) if queries is not None else _said(model, None) is None


def with_queries(
    facts: tuple[TensorFacts, ...],
    model: nn.Module,
    base: nn.Module,
    queries: Sequence[str] | None = None,
    traces: tuple[Trace, Trace] | None = None,
) -> Survey:
    """Mark query projections whose head size differs from the base; list attentions nobody spoke for.

    `queries` are patterns; empty says that no projection is to be scaled, None says nothing. `traces` are those of the
    model and of its base, None where they were not asked for.
    """
    refuse_unmatched(queries or (), (fact.name for fact in facts), where="queries")
    said = _said(model, queries)
    failure = (traces[0].failure or traces[1].failure) if traces else ""
    growths = _growths(model, base, traces) if said is None or said else []  # none are to be scaled
    named = [f for f in facts if any(fnmatchcase(f.name, p) for p in said or ())]
    if failure and not growths:  # the word of who names them is all there is: as many heads at every width
        growths = [_Growth(f.name, round(f.width_out * 2**20), 2**20) for f in named if f.width_out != 1]
    modules, marked, unclaimed = dict(model.named_modules()), {}, []
    for growth in growths:
        found = _marked(growth, facts, named, modules)
        marked.update({fact.name: fact for fact in found})
        if not found and (
            said is None or queries
        ):  # a model that declares says also that what is left out needs nothing
            unclaimed.append(growth)
    return Survey(
        tuple(marked.get(fact.name, fact) for fact in facts),
        tuple((g.module, g.size, g.base_size) for g in unclaimed),
        unclaimed_why=_why(unclaimed[0], failure, named) if unclaimed else "",
        untraced=failure if said is None and not _head_sizes(model) else "",
    )


def _said(model: nn.Module, queries: Sequence[str] | None) -> Sequence[str] | None:
    """Patterns as the user says them, else as the model declares them; None where neither speaks."""
    declared: Sequence[str] | None = getattr(model, "attention_queries", None)
    return (*queries, *(declared or ())) if queries else queries if queries is not None else declared


# --- which heads grow ------------------------------------------------------------------------------------------------


def _growths(model: nn.Module, base: nn.Module, traces: tuple[Trace, Trace] | None) -> list[_Growth]:
    """As traced; and as attributes say of modules in and around which no attention was traced."""
    heads, base_heads = _head_sizes(model), _head_sizes(base)
    said = [_Growth(n, h, base_heads[n]) for n, h in heads.items() if n in base_heads and h != base_heads[n]]
    if not traces or len(traces[0].attentions) != len(traces[1].attentions):
        return said
    here, there = (trace.attentions for trace in traces)
    seen = [
        _Growth(a.module, a.head_size, b.head_size, a, _lacking(a, b))
        for a, b in zip(here, there, strict=True)
        if a.head_size != b.head_size
    ]
    traced = {_Growth(a.module, 1, 1) for a in here}
    return seen + [g for g in said if not any(t.holds(g.module) or g.holds(t.module) for t in traced)]


def _head_sizes(model: nn.Module) -> dict[str, int]:
    """By the names of the modules that say it; `head_size` before `head_dim`."""
    said = [(n, getattr(m, a, None)) for a in ("head_dim", "head_size") for n, m in model.named_modules()]
    return {name: size for name, size in said if isinstance(size, int) and not isinstance(size, bool)}


def _lacking(attention: Attention, base: Attention) -> float:
    """What makes the model's own scale fall with the root of the head size; 1 where that cannot be read."""
    if not attention.scale or not base.scale:
        return 1.0
    lacking = (attention.head_size / base.head_size) ** -0.5 * base.scale / attention.scale
    return 1.0 if math.isclose(lacking, 1.0, rel_tol=1e-6) else lacking


# --- whose queries they are ------------------------------------------------------------------------------------------


def _marked(
    growth: _Growth, facts: Sequence[TensorFacts], named: Sequence[TensorFacts], modules: Mapping[str, nn.Module]
) -> list[TensorFacts]:
    """The tensors that make the queries of one attention, each with the place where a factor acts on these alone."""
    traced = {q.name: q for q in growth.attention.queries} if growth.attention else {}
    makers = {f.name: f for f in facts if f.name in traced and _place(traced[f.name], modules)}
    if len(makers) < len(traced):  # a part of the queries would stay as it is
        makers = {}
    said = {f.name: f for f in named if growth.holds(f.name) or f.name in traced}
    own = {f.name: f for f in facts if _is_projection_of(growth.module, f.name, modules)}
    marked = []
    for name, fact in (said or makers or own).items():
        place = _place(traced.get(name) or Queries(name, _own_module(name, growth, modules)), modules)
        if place is None:
            return []
        module, at, rows = place
        uses = (replace(fact.uses[0], module=module, at=at, rows=rows), *fact.uses[1:])
        marked.append(replace(fact, uses=uses, head_ratio=growth.size / growth.base_size, logits=growth.logits))
    return marked


def _place(queries: Queries, modules: Mapping[str, nn.Module]) -> tuple[str, MultiplierPlace, Rows] | None:
    """Module, activation and rows. nn.MultiheadAttention projects and scores in one function: there the factor goes on
    the query it is given (the bias of the projection, which starts at 0, is not scaled with it)."""
    owner = queries.name.rpartition(".")[0]
    if _is_projection_of(owner, queries.name, modules):
        return owner, "input", ()
    return (queries.module, "output", queries.rows) if queries.module else None


def _own_module(name: str, growth: _Growth, modules: Mapping[str, nn.Module]) -> str:
    """The module that hands out what a parameter makes that is named and was not traced; empty where none does.

    What a trace shows to be lost on the way to the scores, or to make keys as well, is no projection of queries.
    """
    if growth.attention is not None and growth.attention.unknown not in ("", UNSEEN):
        return ""
    module, _, leaf = name.rpartition(".")
    owner = modules[module]
    others = [n for n, _ in owner.named_parameters(recurse=False) if n not in (leaf, "bias")]
    return "" if others or any(owner.children()) else module


def _is_projection_of(module: str, name: str, modules: Mapping[str, nn.Module]) -> bool:
    owner, _, leaf = name.rpartition(".")
    is_own = owner == module and isinstance(modules.get(module), nn.MultiheadAttention)
    return is_own and leaf in ("in_proj_weight", "q_proj_weight")


def _why(growth: _Growth, failure: str, named: Sequence[TensorFacts]) -> str:
    if growth.attention is not None and growth.attention.unknown not in ("", UNSEEN):
        return growth.attention.unknown
    lost = [f.name for f in named if growth.holds(f.name)]
    lost += [q.name for q in growth.attention.queries] if growth.attention else []
    if lost:
        return f"{lost[0]} has no module of its own on whose output a factor could act"
    if growth.attention is None:
        return f"its forward pass could not be traced ({failure})" if failure else ""
    return growth.attention.unknown
