"""Attention heads that grow with the width: whose projection of queries a rule scales, and who has not said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from torch import nn

from hptransfer.scaling.facts import Survey, TensorFacts

__all__ = ["with_queries"]


def with_queries(facts: tuple[TensorFacts, ...], model: nn.Module, base: nn.Module, queries: Sequence[str]) -> Survey:
    """Mark query projections whose head size differs from the base; list attention modules nobody spoke for."""
    heads, base_heads = _head_sizes(model), _head_sizes(base)
    grown = {n: (h, base_heads[n]) for n, h in heads.items() if n in base_heads and h != base_heads[n]}
    modules = dict(model.named_modules())
    declared = getattr(model, "attention_queries", None)
    patterns = (*queries, *(declared or ()))
    marked: list[TensorFacts] = []
    spoken_for: set[str] = set()
    for fact in facts:
        owner = fact.name.rpartition(".")[0]
        parent = owner.rpartition(".")[0]
        is_mha = isinstance(modules[owner], nn.MultiheadAttention)
        leaf = fact.name.rpartition(".")[2]
        if is_mha and leaf in ("in_proj_weight", "q_proj_weight") and owner in grown:
            here = owner
        elif any(fnmatchcase(fact.name, p) for p in patterns) and parent in grown:
            here = parent
        else:
            marked.append(fact)
            continue
        spoken_for.add(here)
        size, base_size = grown[here]
        # nn.MultiheadAttention projects and scores in one function: there the factor goes on the query it is given
        # (the bias of the projection, which starts at 0, is not scaled with it).
        use = replace(fact.uses[0], module=owner, at="input" if is_mha else "output")
        marked.append(replace(fact, uses=(use, *fact.uses[1:]), head_ratio=size / base_size))
    if declared is not None and not queries:
        spoken_for.update(grown)  # the model spoke, be it to say that it needs nothing
    unclaimed = tuple((n, *sizes) for n, sizes in grown.items() if n not in spoken_for)
    return Survey(tuple(marked), unclaimed)


def _head_sizes(model: nn.Module) -> dict[str, int]:
    """By the names of the modules that say it; `head_size` before `head_dim`."""
    said = [(n, getattr(m, a, None)) for a in ("head_dim", "head_size") for n, m in model.named_modules()]
    return {name: size for name, size in said if isinstance(size, int) and not isinstance(size, bool)}
