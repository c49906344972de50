"""How each tensor starts: by the rule, as the factory built it, in between, or at zero.

`rule`: a matrix is drawn from a normal whose std the rule scales; known biases start at 0, known norm gains at 1,
other vectors as built. `built`: the factory's value, untouched. `rescale`: the factory's value times one number, so
that its shape stays (orthogonal, truncated, constant, zero) and its size is that at the base width times the rule's
factor on the init std; a vector is left as built. `zeros`.

Where nothing is said matrices are by the rule. A vector too, unless the factory filled it with something else than
the rule would write: a forget gate's bias, a step size, a gain that starts at zero. Such a value is the model's own
design, and no rule speaks of it; what torch's layers draw by themselves is none.

**Which size is the base's.** `rescale` divides a tensor by its own root mean square and multiplies by that of the same
tensor at the base width (dense, at the target's depth, under seed 0) times the rule's factor. Both are measured on the
values themselves: no init has to be assumed, and an orthogonal or constant tensor comes out exact. microsoft/mup
multiplies by a power of the width that is right for a factory whose std is 1/√fan-in; for such a factory the two
agree, but one that writes std 0.02 at every width is scaled right here alone. A √(2·depth) of the rule is left out:
what a factory does for its depth it has done itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import get_args

from hptransfer.common.errors import InputError, did_you_mean, nearest
from hptransfer.scaling.built import BuiltTensor
from hptransfer.scaling.dimensions import InitKind
from hptransfer.scaling.facts import Survey, TensorFacts
from hptransfer.scaling.patterns import refuse_unmatched
from hptransfer.scaling.rules import VECTORS
from hptransfer.study.pieces import InitPolicy

__all__ = ["refuse_unknown_policies", "with_init"]

Policies = Sequence[tuple[str, str]]
"""Pairs of a parameter's pattern and its policy; the first that matches counts."""


def refuse_unknown_policies(policies: Mapping[str, object]) -> None:
    """Refuse a word that is no policy."""
    known = get_args(InitPolicy)
    for pattern, policy in policies.items():
        if policy not in known:
            hint = did_you_mean(nearest(policy, known))
            raise InputError("unknown init", where=f"init.{pattern}", found=policy, allowed=", ".join(known), hint=hint)


def with_init(found: Survey, built: Mapping[str, BuiltTensor], policies: Policies) -> Survey:
    """The survey with what each tensor starts as. `built`: the factory's tensors at the base width, by first name."""
    names = [name for tensor in built.values() for name in tensor.names]
    refuse_unmatched((pattern for pattern, _ in policies), names, where="init")
    tensors = tuple(_with_init(fact, built[fact.name], _policy(built[fact.name], policies)) for fact in found.tensors)
    return replace(found, tensors=tensors)


def _policy(tensor: BuiltTensor, policies: Policies) -> str:
    """What is said of a tensor under any of its names; empty where nothing is."""
    return next((policy for pattern, policy in policies if any(fnmatchcase(n, pattern) for n in tensor.names)), "")


def _with_init(fact: TensorFacts, built: BuiltTensor, policy: str) -> TensorFacts:
    kind = _kind(fact, built, policy)
    by_rule = kind == fact.init and policy in ("", "rule")
    return replace(
        fact,
        init=kind,
        built_rms=built.rms,
        lost=built.words if by_rule and _carries_meaning(fact, built) else "",
        all_zero=kind == "zeros" or (kind in ("built", "rescaled") and built.form == "zeros"),
    )


def _kind(fact: TensorFacts, built: BuiltTensor, policy: str) -> InitKind:
    """`fact.init` is what the rule would write."""
    vector = fact.role in VECTORS
    if policy == "zeros":
        return "zeros"
    if policy == "built" or (policy == "rescale" and vector):
        return "built"
    if policy == "rescale":
        return "rescaled"
    return "built" if policy == "" and vector and _carries_meaning(fact, built) else fact.init


def _carries_meaning(fact: TensorFacts, built: BuiltTensor) -> bool:
    """Whether a factory's value says something that is gone once the rule has written over it."""
    if fact.init == "normal":
        return built.form in ("zeros", "ones", "constant", "orthogonal")
    return fact.init != "built" and built.form not in (fact.init, "default")
