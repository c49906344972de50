"""A model's forward pass, traced: its attentions, and the matrices that write to the residual stream.

Nothing is told by a name. The model is run once, in evaluation mode, a large one on the meta device; what cannot be
run is told as such, with what it raised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.common.module_kind import module_kind
from hptransfer.scaling.build_model import Build, build_model
from hptransfer.scaling.trace.follow import Follower, Scores
from hptransfer.scaling.trace.sample import Sample, guesses
from hptransfer.scaling.trace.trails import Maker, Trail, makers_of

__all__ = ["UNSEEN", "Attention", "Queries", "Trace", "trace_model"]

UNSEEN = "no matrix is seen to make its queries"
"""Of an attention, where the trace lost its way; a user's word then counts."""
SMALL, MOST = 2 * 10**7, 3 * 10**8
"""Weights up to which a model is run on the CPU first: the meta device loads torch's compiler, a second of every
command; and up to which it is run there at all, where the meta device has failed."""


@dataclass(frozen=True, slots=True)
class Queries:
    """A parameter that makes queries."""

    name: str
    module: str
    """The module that hands out what it makes; empty where none does."""
    rows: tuple[tuple[int, int], ...] = ()
    """Ranges of its outputs; empty for all."""


@dataclass(frozen=True, slots=True)
class Attention:
    """One product of queries and keys, in the order of the forward pass."""

    module: str
    head_size: int
    scale: float | None
    """What the model itself multiplies the scores by; None where it could not be read."""
    queries: tuple[Queries, ...]
    unknown: str = ""
    """Why no parameter is known to make the queries."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one forward pass showed; `failure` says why there was none."""

    attentions: tuple[Attention, ...] = ()
    writers: tuple[str, ...] = ()
    """Parameters whose output is added to the residual stream."""
    additions: int = 0
    """How many times something is added to it."""
    sums: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Dimensions of a parameter that the forward pass sums over, where all its products agree."""
    failure: str = ""


@lru_cache(maxsize=64)
def trace_model(build: Build, width: int, depth: int | None, sample: Sample | None = None) -> Trace:
    """Build a model and run it once; remembered. What a user's forward raises is an answer, not an error."""
    failures: list[str] = []
    model = build_model(build, width, depth, device="meta")
    weights = sum(math.prod(p.shape) for p in model.parameters())
    for device in ("cpu", "meta") if weights <= SMALL else ("meta", "cpu") if weights <= MOST else ("meta",):
        for arguments in [sample] if sample else guesses(model):
            try:
                return _traced(build_model(build, width, depth, device=device).eval(), arguments)
            except InputError:
                raise
            except Exception as error:  # a user's forward may raise anything
                failures.append(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}")
    return Trace(failure=failures[0])


def _traced(model: nn.Module, sample: Sample) -> Trace:
    follower = Follower(model)
    with torch.random.fork_rng(devices=[]), follower:
        sample.call(model, next(model.parameters()).device)
    names = [name for name, _ in model.named_parameters()]
    attentions = tuple(_attention(scores, follower, names) for scores in follower.scores)
    writers = tuple(dict.fromkeys(names[n] for n in follower.writes))
    kinds = {module_kind(name) for name in writers}
    # No token came by some experts: they are what their like are, whichever those were.
    writers += tuple(n for i, n in enumerate(names) if i not in follower.outputs and module_kind(n) in kinds)
    sums = {names[number]: dims for number, found in follower.sums.items() for dims in found if len(found) == 1}
    return Trace(attentions, writers, follower.additions, sums)


def _attention(scores: Scores, follower: Follower, names: Sequence[str]) -> Attention:
    def told(queries: tuple[Queries, ...] = (), unknown: str = "") -> Attention:
        return Attention(scores.module, scores.size, scores.scale, queries, unknown)

    makers, others = _makers(scores.queries, follower), _makers(scores.keys, follower)
    if scores.queries.normed and scores.queries.gain is None:
        return told(unknown="its queries are normed without a gain of their own")
    if not makers:
        return told(unknown=UNSEEN)
    found = []
    for maker in makers:
        if any(_overlap(maker, other) for other in others):
            return told(unknown=f"{names[maker.number]} makes queries and keys alike")
        place = next((module for module, number in follower.projects if number == maker.number), "")
        found.append(Queries(names[maker.number], place, maker.rows))
    return told(tuple(found))


def _makers(trail: Trail, follower: Follower) -> tuple[Maker, ...]:
    """The matrices, or the gain of the norm behind them: what comes before a norm has no say in the size."""
    if trail.gain is not None:
        return (Maker(trail.gain),)
    return makers_of(trail, follower.outputs)


def _overlap(a: Maker, b: Maker) -> bool:
    if a.number != b.number:
        return False
    return not a.rows or not b.rows or any(x < v and u < y for x, y in a.rows for u, v in b.rows)
