"""A rule applied to a target, tensor by tensor: the one place where exponents become numbers.

The training programs, `parametrize`, `explain` and `export` all read this table and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from hptransfer.common.errors import InputError
from hptransfer.common.seams import METHODS
from hptransfer.scaling.build_model import MARK
from hptransfer.scaling.built import built_tensors
from hptransfer.scaling.dimensions import InitKind
from hptransfer.scaling.facts import MultiplierPlace, Rows, Survey, TensorFacts, Use
from hptransfer.scaling.init_policy import with_init
from hptransfer.scaling.patterns import refuse_unmatched
from hptransfer.scaling.refusals import check_branches, check_depth, check_heads
from hptransfer.scaling.roles import survey
from hptransfer.scaling.rules import NO_CHANGE, VECTORS, Quantity, Role
from hptransfer.scaling.target import Target
from hptransfer.sparsity.masks import layer_densities, nonzero_count
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec

__all__ = ["TensorScale", "TiedUse", "expected_empty_rows", "scale_table"]

Patterns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TiedUse:
    """One name of a tensor and the multiplier that acts where it is used under that name."""

    name: str
    role: Role
    multiplier: float
    multiplier_at: MultiplierPlace
    multiplier_buffer: str
    multiplier_rows: Rows = ()
    """Outputs that it acts on."""


@dataclass(frozen=True, slots=True)
class TensorScale:
    """Everything a trainer must know of one tensor."""

    name: str
    role: Role
    shape: tuple[int, ...]
    fan_in: int
    """Inputs of one output, zeros counted; 1 for vectors."""
    density: float
    """Realised: non-zeros over size."""
    nonzeros: int
    init: InitKind
    """`normal` with `init_std`; `zeros`; `ones`; `built`: as the factory built it; `rescaled`: that, with a root mean
    square of `init_std` before the mask."""
    init_std: float
    """0.0 unless `init` is `normal` or `rescaled`."""
    lr: float
    """Absolute peak LR."""
    lr_scale: float
    """LR over base LR, the role's tuned multiplier included."""
    weight_decay: float
    """As handed to an AdamW param group beside `lr`; 0.0 for vectors, which are not decayed."""
    eps: float
    multiplier: float
    multiplier_at: MultiplierPlace
    """Which activation of the module the multiplier acts on; empty: there is none."""
    multiplier_buffer: str
    """Full name of the buffer that holds the multiplier, empty if there is none."""
    source: str
    """The cells of the rule that said so."""
    out_dims: tuple[int, ...] = (0,)
    """Dimensions that count outputs."""
    tied: tuple[TiedUse, ...] = ()
    """Its uses under further names, where it is shared."""
    lost: str = ""
    """What the factory built, where it carries meaning and the rule writes over it."""
    all_zero: bool = False
    """Whether it starts as zeros."""
    multiplier_rows: Rows = ()
    """Outputs that the multiplier acts on; empty for all."""

    @property
    def from_factory(self) -> bool:
        """Whether its initial value is made of the factory's."""
        return self.init in ("built", "rescaled")

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        return math.prod(self.shape[d] for d in self.out_dims)

    @property
    def uses(self) -> tuple[TiedUse, ...]:
        """Under its own name, then under further ones."""
        place = (self.multiplier_at, self.multiplier_buffer, self.multiplier_rows)
        own = TiedUse(self.name, self.role, self.multiplier, *place)
        return (own, *self.tied)


def scale_table(target: Target) -> tuple[TensorScale, ...]:
    """One row per parameter, in the model's own order; a shared tensor has one row, under its first name.

    Pure. What is slow depends on the target's shape alone and is remembered by it: targets that differ in base HPs
    only, as the trials of a pack do, share it. The factory object is part of the shape, so hand over the same one.
    """
    said = tuple(target.roles.items()), tuple(target.init.items())
    return tuple(_at_base(factors, target) for factors in _factor_table(target.shape, *said))


@lru_cache(maxsize=64)
def _factor_table(shape: Target, roles: Patterns, init: Patterns) -> tuple[_Factors, ...]:
    """`roles` and `init` stand apart from the shape: the first pattern that matches counts, and a caller may change
    its dict."""
    check_depth(shape)
    found = survey(
        shape.build,
        width=shape.width,
        base_width=shape.base_width,
        depth=shape.depth,
        roles=roles,
        queries=shape.queries,
        blocks=shape.rule.tells_blocks(shape.optimizer),
        sample=shape.sample,
    )
    found = with_init(found, built_tensors(shape.build, shape.base_width, shape.depth), init)
    check_heads(shape, found)
    check_branches(shape, found)
    counts = _nonzeros(found, shape.density, shape.sparsity)
    return tuple(_factors(shape, fact, counts[fact.name], found.additions) for fact in found.tensors)


def expected_empty_rows(scale: TensorScale, kind: str) -> float:
    """How many outputs a mask is expected to leave without any weight."""
    if scale.density == 1.0 or kind != "random":
        return 0.0
    rows = scale.outputs
    return float(rows * (1.0 - scale.density) ** (math.prod(scale.shape) // rows))


# --- density ---------------------------------------------------------------------------------------------------------


def _nonzeros(found: Survey, density: float, sparsity: SparsitySpec) -> dict[str, int]:
    chosen = {t.name: t for t in found.tensors if _is_sparse(t, sparsity)}
    refuse_unmatched((*sparsity.layers, *sparsity.dense), (t.name for t in found.tensors), where="sparsity")
    distribution = sparsity.distribution
    if distribution != "uniform" and ":" in sparsity.kind and density < 1:
        raise InputError(
            f"a {sparsity.kind} mask has one density for all layers",
            where="sparsity.distribution",
            found=distribution,
            allowed="uniform",
        )
    densities = layer_densities({n: t.shape for n, t in chosen.items()}, density, distribution)
    return {
        t.name: nonzero_count(t.shape, densities[t.name], kind=sparsity.kind, out_dims=t.dims.out or (0,), name=t.name)
        if t.name in chosen
        else math.prod(t.shape)
        for t in found.tensors
    }


def _is_sparse(fact: TensorFacts, sparsity: SparsitySpec) -> bool:
    if any(fnmatchcase(fact.name, p) for p in sparsity.dense):
        return False
    if sparsity.layers:
        return len(fact.shape) > 1 and any(fnmatchcase(fact.name, p) for p in sparsity.layers)
    return fact.role in ("hidden", "residual")


# --- numbers ---------------------------------------------------------------------------------------------------------


def _seen(target: Target, density: float) -> float:
    """The density of a sparse tensor as its method has the rule see it."""
    name = target.sparsity.method
    seen = METHODS.get(name).rule_density(density, target.sparsity)
    kept = isinstance(seen, float | int) and 0 < seen <= 1
    METHODS.hold(name, kept, "`rule_density` is a density, in (0, 1]", seen)
    return float(seen)


@dataclass(frozen=True, slots=True)
class _Factors:
    """What the rule does to one tensor whatever the base is: factors on the base's values."""

    fact: TensorFacts
    nonzeros: int
    init_std: float
    shrink: float
    """What the init std is divided by besides on residual projections (see `_shrink`)."""
    lr: float
    weight_decay: float
    eps: float
    multipliers: tuple[float, ...]
    """One factor per use."""
    source: str


def _factors(target: Target, fact: TensorFacts, nonzeros: int, additions: int) -> _Factors:
    density = nonzeros / math.prod(fact.shape)
    seen = _seen(target, density) if density < 1 else 1.0

    def factor(quantity: Quantity) -> float:
        cell = target.rule.cell(target.optimizer, fact.role, quantity)
        return cell.factor(width=fact.width, density=seen, depth=target.depth_ratio, width_out=fact.width_out)

    return _Factors(
        fact=fact,
        nonzeros=nonzeros,
        init_std=factor("init_std"),
        shrink=_shrink(target, fact, additions) if fact.init == "normal" else 1.0,
        lr=factor("lr"),
        weight_decay=0.0 if fact.role in VECTORS else factor("weight_decay"),
        eps=factor("eps"),
        multipliers=tuple(_multiplier(target, fact, use) for use in fact.uses),
        source=_source(target, fact),
    )


def _shrink(target: Target, fact: TensorFacts, additions: int) -> float:
    """√(2·depth) on residual projections, as GPT-2 does; the root of the additions to the stream where these are
    counted, since the depth does not tell how deep the model is."""
    if fact.role != "residual" or target.rule.residual_init == "none":
        return 1.0
    if additions:
        return math.sqrt(additions)
    if target.depth is None:
        raise InputError(
            "this tensor writes to the residual stream and starts with std / √(2·depth): say depth",
            where=fact.name,
            hint=f'or, where it writes to none, roles={{"{fact.name}": "hidden"}}',
        )
    return math.sqrt(2 * target.depth)


def _multiplier(target: Target, fact: TensorFacts, use: Use) -> float:
    """The factor on the multiplier of one use. A tied readout has the growing side of the shared table as inputs."""
    if not use.at:
        return 1.0
    width = fact.width_out if use.role == "readout" != fact.role else fact.width
    cell = target.rule.cell(target.optimizer, use.role, "multiplier")
    return cell.factor(width=width, depth=target.depth_ratio) * _heads(target, fact)


def _heads(target: Target, fact: TensorFacts) -> float:
    """What queries are multiplied by, so that logits have the rule's scale; a rule without one leaves the model's."""
    if fact.head_ratio is None or target.rule.attention == NO_CHANGE:
        return 1.0
    return target.rule.attention.factor(width=fact.head_ratio) * fact.logits


def _at_base(factors: _Factors, target: Target) -> TensorScale:
    """The numbers at the target's base: a few products."""
    fact, base = factors.fact, target.base
    decay = base.weight_decay * factors.weight_decay
    alphas = {"embedding": base.alpha_input, "readout": base.alpha_output}
    tuned, said = _lr_multiplier(fact.role, base)
    sizes = {"normal": base.init_std, "rescaled": fact.built_rms}
    uses = tuple(
        TiedUse(
            use.name,
            use.role,
            alphas.get(use.role, 1.0) * factor if use.at else 1.0,
            use.at,
            f"{use.module}.{MARK}multiplier_{use.at}" if use.at else "",
            use.rows,
        )
        for use, factor in zip(fact.uses, factors.multipliers, strict=True)
    )
    return TensorScale(
        name=fact.name,
        role=fact.role,
        shape=fact.shape,
        fan_in=fact.fan_in,
        density=factors.nonzeros / math.prod(fact.shape),
        nonzeros=factors.nonzeros,
        init=fact.init,
        init_std=sizes.get(fact.init, 0.0) * factors.init_std / factors.shrink,
        lr=base.lr * factors.lr * tuned,
        lr_scale=factors.lr * tuned,
        weight_decay=decay / factors.lr if target.decay == "independent" else decay,
        eps=target.eps * factors.eps,
        multiplier=uses[0].multiplier,
        multiplier_at=uses[0].multiplier_at,
        multiplier_buffer=uses[0].multiplier_buffer,
        source=factors.source + said,
        out_dims=fact.dims.out or (0,),
        tied=uses[1:],
        lost=fact.lost,
        all_zero=fact.all_zero,
        multiplier_rows=uses[0].multiplier_rows,
    )


def _lr_multiplier(role: Role, base: BaseHPs) -> tuple[float, str]:
    """The tuned factor on a role's LR, and how its source tells it; nothing is told of 1.

    It is part of the base LR that the decay mode sees: like the base LR, it moves lr × decay of its own tensors.
    """
    name = {"embedding": "lr_embedding", "readout": "lr_readout", **dict.fromkeys(VECTORS, "lr_vector")}.get(role)
    value = getattr(base, name) if name else 1.0
    return value, f"; times {name} {value:g}" if value != 1 else ""


def _source(target: Target, fact: TensorFacts) -> str:
    """The cells that spoke, as `supar/adamw hidden init_std: width^-1/2 density^-1/2; lr: width^-1 density^-1`."""
    rule = target.rule
    quantities: tuple[Quantity, ...] = ("init_std", "lr", "eps", "multiplier")
    cells = {quantity: rule.cell(target.optimizer, fact.role, quantity) for quantity in quantities}
    said: dict[str, str] = {quantity: str(cell) for quantity, cell in cells.items() if cell != NO_CHANGE}
    if fact.init == "normal" and fact.role == "residual" and rule.residual_init == "gpt2":
        said["init_std"] = f"{said.get('init_std', '1')} / sqrt(2 depth)"
    if fact.init == "rescaled":
        said["init"] = f"as the factory built it, its size at the base width times {said.pop('init_std', '1')}"
    elif fact.init != "normal":
        said["init"] = {"zeros": "zeros", "ones": "ones", "built": "as the factory built it"}[fact.init]
        said.pop("init_std", None)
    if fact.role == "embedding" and not fact.uses[0].at:
        said["multiplier"] = "none, a bare parameter has no activation of its own"
    if fact.head_ratio is not None:
        said["attention"] = f"head size ratio {fact.head_ratio:g}: {rule.attention}" + _logits_words(target, fact)
    for use in fact.uses[1:]:
        said[f"tied as {use.role}"] = str(rule.cell(target.optimizer, use.role, "multiplier"))
    said["weight_decay"] = "none on vectors" if fact.role in VECTORS else _decay_words(target, fact.role)
    words = "; ".join(f"{quantity}: {text}" for quantity, text in said.items())
    return f"{rule.name}/{target.optimizer} {fact.role} {words}"


def _logits_words(target: Target, fact: TensorFacts) -> str:
    rows = ", ".join(f"{first} to {end - 1}" for first, end in fact.uses[0].rows)
    own = f", times {fact.logits:g} for the model's own scale" if fact.logits != 1 and _heads(target, fact) != 1 else ""
    return own + (f", on the outputs {rows}" if rows else "")


def _decay_words(target: Target, role: Role) -> str:
    cell = target.rule.cell(target.optimizer, role, "weight_decay")
    words = "independent (lr x decay as at the base)" if target.decay == "independent" else "coupled (as given)"
    return words if cell == NO_CHANGE else f"{words}, {cell}"
