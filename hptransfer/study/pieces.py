"""The small settled pieces that both a study file and a trial are made of.

Each piece is frozen, refuses unknown keys and checks its own values. A `Study` says which pieces a question
needs; a `Trial` carries the same pieces with every choice made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeGuard, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from hptransfer.common.seams import METHODS, MODELS, OPTIMIZERS, Seam

__all__ = [
    "Axis",
    "DataSpec",
    "DecayMode",
    "Distribution",
    "Fraction",
    "InitPolicy",
    "Listed",
    "ModelSpec",
    "Positive",
    "Precision",
    "ScheduleName",
    "Seed",
    "SparsitySpec",
    "Spec",
    "TrainingSpec",
    "as_tuple",
    "named_by",
    "parse_number",
    "read_number",
    "unique",
]

ScheduleName = Literal["constant", "linear", "tenth", "cosine", "wsd"]
DecayMode = Literal["independent", "coupled"]
Precision = Literal["fp32", "bf16"]
Distribution = Literal["uniform", "erk"]
InitPolicy = Literal["rule", "built", "rescale", "zeros"]
Item = TypeVar("Item")

_POWER = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(?:\^|\*\*)\s*(-?\d+(?:\.\d+)?)\s*$")
_RATIO = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*$")


def parse_number(value: object) -> object:
    """Read the ways people write an LR or a density: `0.01`, `1e-3`, `2^-7`, `1/16`.

    Anything that is not such a text is handed back unchanged, for the validator to accept or refuse.
    """
    if not isinstance(value, str):
        return value
    try:
        if match := _POWER.match(value):
            return float(match[1]) ** float(match[2])
        if match := _RATIO.match(value):
            return float(match[1]) / float(match[2])
        return float(value)
    except (ValueError, OverflowError, ZeroDivisionError):
        return value


def read_number(value: object) -> object:
    """As `parse_number`, for a field: a truth value is no number, though Python counts it as one."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, found {value}")
    return parse_number(value)


def _expand_axis(value: object) -> object:
    """A grid axis: a list of numbers, or `{octaves: [low, high], step: s}` for powers of two."""
    if isinstance(value, list):
        return tuple(read_number(v) for v in value)
    if not isinstance(value, Mapping):
        return value
    unknown = set(value) - {"octaves", "step"}
    ends = value.get("octaves")
    step = parse_number(value.get("step", 1))
    if unknown or not isinstance(ends, list | tuple) or len(ends) != 2:
        raise ValueError("a range is written {octaves: [low, high], step: s}")
    low, high = (parse_number(e) for e in ends)
    if not (_finite(low) and _finite(high) and _finite(step)):
        raise ValueError("octaves and step must be finite numbers")
    if low > high:
        raise ValueError(f"octaves are reversed: {low} is above {high}")
    if step <= 0:
        raise ValueError(f"step must be above 0, found {step}")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > 1000 or max(abs(low), abs(high)) > 1000:
        raise ValueError(f"a range of {count} octave steps from {low} to {high} is too large (at most 1000)")
    return tuple(2.0 ** (low + i * step) for i in range(count))


def _finite(value: object) -> TypeGuard[float]:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a value listed twice: it would be the same trial again, so it is a slip."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value!r} is listed twice")
    return values


def as_tuple(value: object) -> object:
    """YAML knows lists alone; what is frozen holds a tuple."""
    return tuple(value) if isinstance(value, list) else value


Positive = Annotated[float, BeforeValidator(read_number), Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, BeforeValidator(read_number), Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, BeforeValidator(read_number), Field(gt=0, le=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1), BeforeValidator(read_number)]
Listed = Annotated[tuple[Item, ...], BeforeValidator(as_tuple), Field(max_length=1000), AfterValidator(unique)]
Axis = Annotated[
    tuple[Positive, ...], BeforeValidator(_expand_axis), Field(min_length=1, max_length=1000), AfterValidator(unique)
]
Texts = Listed[str]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def named_by(seam: Seam) -> AfterValidator:
    """Accepts the names of a seam's entries, built in or a user's own, by their form; nothing is imported."""

    def check(name: str) -> str:
        if not seam.knows(name):
            raise PydanticCustomError("no_such_entry", "no such entry", {"seam": seam})
        return name

    return AfterValidator(check)


class Spec(BaseModel):
    """Base of every piece: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class ModelSpec(Spec):
    """What is trained: a factory and the options handed to it besides width and depth."""

    factory: Annotated[str, named_by(MODELS)] = Field(
        default="gpt",
        description="`gpt`, `mlp`, or your own factory as `package.module:function`; it is called with `width=…`"
        " and, where its signature names them, `depth`, `vocab_size` and `context`.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Further keyword arguments for the factory, for example `head_size: 32`.",
    )
    roles: dict[str, str] = Field(
        default_factory=dict,
        description="Role by parameter name pattern (`fnmatch`), for tensors whose role cannot be told:"
        " embedding, hidden, residual, readout, vector or block_vector; with `^T` behind it for a matrix that is stored"
        " as (in, out).",
    )
    init: dict[str, InitPolicy] = Field(
        default_factory=dict,
        description="How a tensor starts, by parameter name pattern; the first match wins. `rule`: as the rule has it;"
        " `built`: as the factory built it; `rescale`: that, times the rule's factor; `zeros`. Where nothing is said"
        " matrices are by the rule, and so are vectors, but for those that the factory filled with values of its own.",
    )
    queries: Texts | None = Field(
        default=None,
        description="Patterns of the parameters that project the queries of attention, for a model whose head size"
        " grows with the width and whose forward pass does not tell them; `[]`: the model scales its logits itself.",
    )


class DataSpec(Spec):
    """Where the tokens come from. Its fingerprint, not its path, goes into a trial's id."""

    source: Literal["stdlib", "text", "tokens", "synthetic"] = Field(
        default="stdlib",
        description="`stdlib`: the running Python's own library sources (no download); `text`: bytes of a file;"
        " `tokens`: nanoGPT-style binary token files; `synthetic`: a seeded stream of known entropy.",
    )
    path: str | None = Field(default=None, description="File of `text`, or training file of `tokens`.")
    validation_path: str | None = Field(
        default=None, description="Validation file of `tokens`; without one, the tail of `path` is held out."
    )
    dtype: Literal["uint16", "uint32"] = Field(default="uint16", description="Type of a token file.")
    vocab_size: int | None = Field(
        default=None,
        ge=2,
        le=2**32,
        description="Needed for `tokens`; 256 for bytes; for `synthetic` default 64.",
    )
    max_bytes: int = Field(
        default=4_000_000,
        ge=1000,
        le=2**40,
        description="Cap on `stdlib` and `text` in bytes, on `synthetic` in tokens.",
    )
    validation_fraction: Annotated[float, BeforeValidator(read_number)] = Field(
        default=0.1, gt=0, lt=1, description="Share of the stream held out, taken from its end."
    )
    synthetic_seed: Seed = Field(default=0, description="Seed of the synthetic source itself.")
    options: dict[str, Any] = Field(default_factory=dict, description="Settings for a task of your own.")
    synthetic_order: int = Field(default=1, ge=0, le=3, description="Markov order of the synthetic source.")

    @model_validator(mode="after")
    def _paths(self) -> DataSpec:
        if self.source in ("text", "tokens") and not self.path:
            raise ValueError(f"source '{self.source}' needs a path")
        if self.source == "tokens" and self.vocab_size is None:
            raise ValueError("source 'tokens' needs vocab_size")
        if self.source == "tokens" and self.dtype == "uint16" and (self.vocab_size or 0) > 2**16:
            raise ValueError(f"a vocabulary of {self.vocab_size} does not fit into uint16 tokens (at most 65536)")
        return self

    def __hash__(self) -> int:
        """By content: what a spec names is opened once."""
        return hash(self.model_dump_json())


class TrainingSpec(Spec):
    """The budget and the optimizer of one run."""

    steps: int = Field(default=200, ge=1, le=10**9, description="Optimizer steps.")
    batch_size: int = Field(default=16, ge=1, le=10**6, description="Sequences per step.")
    sequence_length: int = Field(default=64, ge=2, le=10**7, description="Tokens per sequence.")
    optimizer: Annotated[str, named_by(OPTIMIZERS)] = Field(
        default="adamw", description="`adamw`, `sgd`, or your own as `package.module:name`."
    )
    beta1: Share = Field(default=0.9, description="Adam β₁.")
    beta2: Share = Field(default=0.95, description="Adam β₂.")
    eps: Positive = Field(default=1e-8, description="Adam ε at the base width.")
    momentum: Share = Field(default=0.9, description="SGD momentum.")
    decay: DecayMode = Field(
        default="independent",
        description="`independent` holds lr × weight_decay of every tensor as at the base, whatever the scale;"
        " `coupled` lets the decay scale with the corrected LR, as plain AdamW does. Along a swept LR the product"
        " moves with the LR under both.",
    )
    clip: NonNegative = Field(default=1.0, description="Global gradient-norm clip; 0 turns it off.")
    schedule: ScheduleName = Field(
        default="linear",
        description="`constant`; `linear` to zero; `tenth`: linear to a tenth; `cosine` to a tenth;"
        " `wsd`: warm-up, stable, linear decay over the last fifth.",
    )
    warmup: Share = Field(default=0.1, description="Share of the steps spent on linear warm-up.")
    precision: Literal["auto", Precision] = Field(
        default="auto", description="`auto` is settled once per results folder by a short calibration."
    )
    eval_tokens: int = Field(default=16_384, ge=1, le=10**12, description="Held-out tokens scored at the end of a run.")
    data_seed: Seed | None = Field(
        default=None, description="Seed of the batch stream; by default the trial's own seed."
    )


class SparsitySpec(Spec):
    """Which weights are zero. The density itself is an axis of the grid."""

    method: Annotated[str, named_by(METHODS)] = Field(
        default="static",
        description="How masks come to be and change: `static`, or your own as `package.module:name`.",
    )
    kind: Annotated[str, Field(pattern=r"^(random|row|[1-9]\d*:[1-9]\d*)$")] = Field(
        default="random",
        description="`random`: exact count per tensor; `row`: the same count in every output row;"
        " `n:m`: n of every m along the input (density must be n/m or 1).",
    )
    distribution: Distribution = Field(
        default="uniform", description="One density for all sparse layers, or Erdős–Rényi-kernel densities."
    )
    layers: Texts = Field(
        default=(), description="Patterns of parameter names to make sparse; empty: every hidden matrix."
    )
    dense: Texts = Field(default=(), description="Patterns of parameter names to leave dense.")
