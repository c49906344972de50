"""A scaling rule as data: which power of width, density and depth each quantity of each role is multiplied by.

For a tensor of some role, `quantity = base value × m^width · m_out^width_out · ρ^density · m_L^depth` with

- `m`: the tensor's fan-in over its fan-in in the base model,
- `m_out`: its fan-out over its fan-out in the base model (only the SGD tables need it),
- `ρ`: its realised density (the base model is dense),
- `m_L`: depth over base depth.

A cell that is not written is all zeros: the base value holds. Numbers follow Yang et al. 2022 (μP, table 8),
Dey et al. 2024 (SμPar, arXiv 2405.15743, table 1), Dey et al. 2025 (CompleteP, arXiv 2505.01618) and Mlodozeniec et
al. 2025 (Complete(d)P, arXiv 2512.22382). The SGD tables are the same argument for an update proportional to the
gradient: with a 1/m readout the gradient of a hidden unit is itself ∝ 1/m_out, so one update of `Σ_j mask·x_j²` terms
moves the output by Θ(1) when LR ∝ m_out / (m·ρ).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal, get_args

from hptransfer.common.errors import InputError
from hptransfer.common.files import digest_of
from hptransfer.common.seams import OPTIMIZERS, is_outside
from hptransfer.study.pieces import parse_number

__all__ = [
    "NO_CHANGE",
    "QUANTITIES",
    "ROLES",
    "VECTORS",
    "Exponents",
    "Quantity",
    "Role",
    "Rule",
    "get_rule",
    "known_rules",
    "register_rule",
    "rule_from_table",
    "ships",
]

Role = Literal["embedding", "hidden", "residual", "readout", "vector", "block_vector"]
"""`hidden`: a matrix whose two sides grow; `residual`: a hidden matrix that writes to the residual stream;
`block_vector`: a vector inside a block that repeats with depth, told apart only for a rule that has cells for it."""

Quantity = Literal["init_std", "lr", "weight_decay", "eps", "multiplier"]
"""`weight_decay` comes on top of the decay mode, which already holds lr × decay when it is `independent`."""

ResidualInit = Literal["gpt2", "none"]

ROLES: tuple[Role, ...] = get_args(Role)
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
VECTORS: tuple[Role, ...] = ("vector", "block_vector")
"""The roles of what is no matrix: not decayed, not masked, with no fan-in of its own."""
_TABLES = tuple(OPTIMIZERS.built_in)
"""Tables by name; an outside optimizer may have its own, under its qualified name."""
# A forward multiplier on a hidden matrix or a vector is the same as another init and LR, so it has no place of its own.
_MULTIPLIED: tuple[Role, ...] = ("embedding", "residual", "readout")


@dataclass(frozen=True, slots=True)
class Exponents:
    """The powers of one cell. All zero: the base value is left alone."""

    width: float = 0.0
    density: float = 0.0
    depth: float = 0.0
    width_out: float = 0.0

    def factor(self, *, width: float, density: float = 1.0, depth: float = 1.0, width_out: float = 1.0) -> float:
        """The factor on the base value; exactly 1.0 where every ratio is 1."""
        return float(width**self.width * density**self.density * depth**self.depth * width_out**self.width_out)

    def __str__(self) -> str:
        """`width^-1/2 density^-1/2`, or `1` when nothing changes."""
        written = ((f.name, getattr(self, f.name)) for f in fields(self))
        return " ".join(f"{name}^{_power(value)}" for name, value in written if value) or "1"


NO_CHANGE = Exponents()
_AXES = tuple(f.name for f in fields(Exponents))

Table = Mapping[Role, Mapping[Quantity, Exponents]]


@dataclass(frozen=True)
class Rule:
    """A named rule: one table of exponents per optimizer family.

    `residual_init` "gpt2" divides the init of residual projections by √(2·depth), as GPT-2 does. `attention` is the
    factor on attention logits as a power of head size over base head size, on top of the model's own 1/√d_head:
    −1/2 makes it 1/d_head, normalised to agree at the base head size.
    """

    name: str
    tables: Mapping[str, Table]
    attention: Exponents = NO_CHANGE
    residual_init: ResidualInit = "gpt2"
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        frozen = {}
        for optimizer, table in self.tables.items():
            cells = {role: MappingProxyType(_that_speak(cells)) for role, cells in table.items()}
            if "hidden" in cells:  # residual projections are hidden matrices unless the table says otherwise
                cells.setdefault("residual", cells["hidden"])
            if cells.get("block_vector") == cells.get("vector", {}):  # the table does not tell them apart
                del cells["block_vector"]
            frozen[optimizer] = MappingProxyType(cells)
        object.__setattr__(self, "tables", MappingProxyType(frozen))

    def __hash__(self) -> int:
        return hash((self.name, self.digest()))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as plain tables: a read-only view does not pickle."""
        return (rule_from_table, (self.name, {**self.to_table(), "note": self.note}))

    def cell(self, optimizer: str, role: Role, quantity: Quantity) -> Exponents:
        """The exponents of one cell; zeros where the table says nothing; refuses an optimizer without a table."""
        if optimizer not in self.tables:
            raise InputError(
                f"rule '{self.name}' has no table for this optimizer", found=optimizer, allowed=", ".join(self.tables)
            )
        cells = self.tables[optimizer]
        said = "vector" if role == "block_vector" and role not in cells else role
        return cells.get(said, {}).get(quantity, NO_CHANGE)

    def tells_blocks(self, optimizer: str) -> bool:
        """Whether a vector inside a block is another thing to this table than one outside."""
        return "block_vector" in self.tables.get(optimizer, {})

    @property
    def uses_depth(self) -> bool:
        """Whether any cell depends on the depth, or on what lies inside a block."""
        if any(map(self.tells_blocks, self.tables)):
            return True
        return any(cell.depth for table in self.tables.values() for cells in table.values() for cell in cells.values())

    def to_table(self) -> dict[str, Any]:
        """The rule as plain values, in the form `rule_from_table` reads. Cells that change nothing are left out."""
        table: dict[str, Any] = {
            optimizer: {
                role: {quantity: _plain(cell) for quantity, cell in cells.items()} for role, cells in roles.items()
            }
            for optimizer, roles in self.tables.items()
        }
        return {**table, "attention": _plain(self.attention), "residual_init": self.residual_init}

    def digest(self) -> str:
        """12 hexadecimal digits of the SHA-256 of the table: the same numbers give the same digest."""
        tree = self.to_table()
        for optimizer, roles in self.tables.items():  # an empty role says nothing, but that block vectors stand still
            tree[optimizer] = {role: tree[optimizer][role] for role in roles if roles[role] or role == "block_vector"}
        return digest_of(json.dumps(tree, sort_keys=True), 12)


def _that_speak(cells: Mapping[Quantity, Exponents]) -> dict[Quantity, Exponents]:
    return {quantity: cell for quantity, cell in cells.items() if cell != NO_CHANGE}


def _plain(cell: Exponents) -> dict[str, float]:
    return {f.name: float(getattr(cell, f.name)) for f in fields(cell) if getattr(cell, f.name)}


def _power(value: float) -> str:
    fraction = Fraction(value).limit_denominator(64)
    return str(fraction) if abs(float(fraction) - value) < 1e-12 else f"{value:g}"


# --- reading a table as a user writes it -----------------------------------------------------------------------------


def rule_from_table(name: str, table: Mapping[str, Any]) -> Rule:
    """Read a rule as written in YAML; refuse a bad cell by its path.

    ```yaml
    like: mup                 # optional: start from a known rule; `like: completep` takes `alpha: 3/4` beside it
    adamw:
      hidden: {lr: {width: -1, density: -1}, init_std: {width: -1/2, density: -1/2}}
    attention: {width: -1/2}  # power of the head size
    residual_init: gpt2       # or none
    ```

    `like` fills whole roles that are not written; a `residual` role that neither writes otherwise is as `hidden`, a
    `block_vector` role as `vector`.
    """
    where = f"rules.{name}"
    own = tuple(key for key in table if is_outside(str(key))) if isinstance(table, Mapping) else ()
    named = (*_TABLES, *own)
    _mapping(table, where, (*named, "attention", "residual_init", "like", "alpha", "note"))
    like = _start(table, where)
    tables: dict[str, dict[Role, dict[Quantity, Exponents]]] = {}
    for optimizer in named:
        if optimizer in table:
            start = like.tables.get(optimizer, {}) if like else {}
            tables[optimizer] = _read_roles(table[optimizer], f"{where}.{optimizer}", start)
        elif like and optimizer in like.tables:
            tables[optimizer] = {role: dict(cells) for role, cells in like.tables[optimizer].items()}
    if not tables:
        raise InputError("a rule needs a table for an optimizer", where=where, allowed=", ".join(_TABLES))
    residual_init = table.get("residual_init", like.residual_init if like else "gpt2")
    if residual_init not in get_args(ResidualInit):
        raise InputError(
            "not a way to start residual projections",
            where=f"{where}.residual_init",
            found=residual_init,
            allowed=", ".join(get_args(ResidualInit)),
        )
    attention = like.attention if like else NO_CHANGE
    if "attention" in table:
        attention = _read_cell(table["attention"], f"{where}.attention", ("width",))
    return Rule(name, tables, attention, residual_init, str(table.get("note", "")))


def _start(table: Mapping[str, Any], where: str) -> Rule | None:
    """The rule that a table starts from, with the depth exponent that it names."""
    like = table.get("like")
    if "alpha" not in table:
        return None if like is None else get_rule(like)
    if like != "completep":
        raise InputError(
            "only CompleteP has an alpha", where=f"{where}.alpha", found=f"like: {like}", allowed="like: completep"
        )
    alpha = parse_number(table["alpha"])
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0.5 <= alpha <= 1:
        raise InputError("no such alpha", where=f"{where}.alpha", found=table["alpha"], allowed="from 1/2 to 1")
    return rule_from_table(like, _completep(float(alpha)))


def _read_roles(
    value: object, where: str, start: Mapping[Role, Mapping[Quantity, Exponents]]
) -> dict[Role, dict[Quantity, Exponents]]:
    roles = _mapping(value, where, ROLES)
    read: dict[Role, dict[Quantity, Exponents]] = {role: dict(cells) for role, cells in start.items()}
    for role in ROLES:
        if role not in roles:
            continue
        cells = _mapping(roles[role], f"{where}.{role}", QUANTITIES)
        if "multiplier" in cells and role not in _MULTIPLIED:
            raise InputError(
                f"a {role} tensor has no forward multiplier",
                where=f"{where}.{role}.multiplier",
                allowed="multiplier on " + ", ".join(_MULTIPLIED),
                hint="scale its init_std and lr instead: it is the same rule",
            )
        read[role] = {q: _read_cell(cells[q], f"{where}.{role}.{q}") for q in QUANTITIES if q in cells}
    if "residual" not in roles and "hidden" in roles and start.get("residual") in (None, start.get("hidden")):
        read["residual"] = dict(read["hidden"])
    return read


def _read_cell(value: object, where: str, allowed: tuple[str, ...] = _AXES) -> Exponents:
    powers = {}
    for axis, power in _mapping(value, where, allowed).items():
        negative = isinstance(power, str) and power.strip().startswith("-")
        number = parse_number(power.strip()[1:] if negative and isinstance(power, str) else power)
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= 8:
            raise InputError(
                "not an exponent", where=f"{where}.{axis}", found=power, allowed="a number from -8 to 8, such as -1/2"
            )
        powers[axis] = -float(number) if negative else float(number)
    return Exponents(**powers)


def _mapping(value: object, where: str, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError("must be a mapping", where=where, found=value, allowed=", ".join(allowed))
    for key in value:
        if key not in allowed:
            raise InputError("unknown key", where=where, found=key, allowed=", ".join(allowed))
    return value


# --- the rules that ship ---------------------------------------------------------------------------------------------


def _mup_adam(init: float = 0.0, lr: float = 0.0) -> dict[str, Any]:
    """μP's Adam table; `init` and `lr` are the density exponents of the hidden matrices."""
    return {
        # Adam's ε is compared with gradients, and behind a 1/m readout these are ∝ 1/m for every tensor that grows.
        # Density leaves the gradient of a single weight alone.
        "embedding": {"eps": {"width_out": -1}},
        "vector": {"eps": {"width_out": -1}},
        "hidden": {
            "init_std": {"width": -0.5, "density": init},
            "lr": {"width": -1, "density": lr},
            "eps": {"width": -1},
        },
        "readout": {"multiplier": {"width": -1}, "eps": {"width": -1}},
    }


def _mup_sgd(init: float = 0.0, lr: float = 0.0) -> dict[str, Any]:
    return {
        "embedding": {"lr": {"width_out": 1}},
        "hidden": {
            "init_std": {"width": -0.5, "density": init},
            "lr": {"width": -1, "width_out": 1, "density": lr},
        },
        "readout": {"lr": {"width": 1}, "multiplier": {"width": -1}},
        "vector": {"lr": {"width_out": 1}},
    }


def _mup_like(note: str, init: float = 0.0, lr: float = 0.0) -> dict[str, Any]:
    return {
        "adamw": _mup_adam(init, lr),
        "sgd": _mup_sgd(init, lr),
        "attention": {"width": -0.5},
        "note": note,
    }


def _completep(alpha: float) -> dict[str, Any]:
    """CompleteP and, but for batch and tokens, Complete(d)P: μP with each residual branch × m_L^−α.

    In a block the gradient is therefore ∝ m_L^−α, and Adam's ε follows it; with an LR ∝ m_L^(α−1) all blocks together
    move the output by Θ(1). torch's decay λ·m beside the LR η·m⁻¹·m_L^(α−1) makes LR × decay ∝ m_L^(α−1), which comes
    on top of `independent`. The gain of a QK norm that all heads of a fixed size share does not grow, so its m_out is 1
    and its ε ε·m_L^−α.
    """
    lr, eps = {"depth": alpha - 1}, {"depth": -alpha}
    hidden = {
        "init_std": {"width": -0.5},
        "lr": {"width": -1, **lr},
        "weight_decay": lr,
        "eps": {"width": -1, **eps},
    }
    return {
        "adamw": {
            **_mup_adam(),
            "hidden": hidden,
            "residual": {**hidden, "multiplier": {"depth": -alpha}},
            "block_vector": {"lr": lr, "eps": {"width_out": -1, **eps}},
        },
        "attention": {"width": -0.5},
        "residual_init": "none",
        "note": f"CompleteP (α = {_power(alpha)}): μP with a depth column",
    }


_SHIPPED: dict[str, dict[str, Any]] = {
    "sp": {"adamw": {}, "sgd": {}, "note": "standard parametrization: one LR and one init for all"},
    "mup": _mup_like("μP: width"),
    "supar": _mup_like("SμPar: μP with the effective width m·ρ on sparse layers", init=-0.5, lr=-1),
    "supar_init_only": _mup_like("half of SμPar: density corrects the init, not the LR", init=-0.5),
    "supar_lr_only": _mup_like("half of SμPar: density corrects the LR, not the init", lr=-1),
    "completep": _completep(1.0),
    "completep_half": _completep(0.5),
}

_known: dict[str, Rule] = {}


def register_rule(rule: Rule) -> Rule:
    """Make a rule known by its name in this process; refuses to change the meaning of a known name."""
    known = _known.get(rule.name)
    if known is not None and known.digest() != rule.digest():
        raise InputError("a rule of this name with another table is known", where="rules", found=rule.name)
    return _known.setdefault(rule.name, rule)


def get_rule(name: str | Rule) -> Rule:
    """The rule of this name, or the rule itself; refuses an unknown one and lists the known ones."""
    if isinstance(name, Rule):
        return name
    if name not in _known:
        raise InputError("unknown rule", where="rule", found=name, allowed=", ".join(_known))
    return _known[name]


def ships(name: str) -> bool:
    """Whether the rule of this name comes with the package, so that every process knows it."""
    return name in _SHIPPED


def known_rules() -> tuple[str, ...]:
    """Names of all known rules, the shipped ones first."""
    return tuple(_known)


for _name, _table in _SHIPPED.items():
    register_rule(rule_from_table(_name, _table))
