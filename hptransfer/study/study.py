"""A study: one question about hyperparameter transfer, as a YAML file says it.

The classes here are the file's schema; `docs/study-file.md` is generated from their descriptions. Reading, merging
`--set` overrides and turning every refusal into one clear message is `hptransfer.study.file`.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from hptransfer.common.choices import GridSearch, PrunerName
from hptransfer.common.seams import AXES, TASKS, TRAINERS
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import (
    Axis,
    DataSpec,
    Fraction,
    Listed,
    ModelSpec,
    NonNegative,
    Positive,
    Seed,
    SparsitySpec,
    Spec,
    Texts,
    TrainingSpec,
    as_tuple,
    named_by,
)
from hptransfer.study.thresholds import VerdictSpec

__all__ = [
    "BaseSpec",
    "BracketSpec",
    "Cell",
    "CheckSpec",
    "DirectSpec",
    "GridSpec",
    "Range",
    "SearchedName",
    "Study",
    "Sweep",
    "TuneSpec",
]


def _counted(value: object) -> object:
    """A number of seeds stands for the first so many."""
    return tuple(range(value)) if type(value) is int and 0 < value <= 1000 else value


Seeds = Annotated[Listed[Seed], BeforeValidator(_counted), Field(min_length=1)]
Widths = Listed[Annotated[int, Field(ge=1, le=1_000_000)]]


def _shares(values: tuple[float, ...]) -> tuple[float, ...]:
    for density in values:
        if not 0 < density <= 1:
            raise ValueError(f"a density must lie in (0, 1], found {density:g}")
    return values


Densities = Annotated[Axis, AfterValidator(_shares)]


class BaseSpec(BaseHPs):
    """The proxy: its size, and the base HPs that hold until tuning finds better ones."""

    width: int = Field(default=64, ge=1, description="Width of the dense proxy, where every multiplier is 1.")
    depth: int = Field(default=2, ge=1, description="Depth of the proxy, in blocks.")

    @property
    def hps(self) -> BaseHPs:
        """The base HPs alone."""
        return BaseHPs(**{name: getattr(self, name) for name in BaseHPs.model_fields})


class Range(Spec):
    """Where one hyperparameter is searched."""

    low: NonNegative = Field(description="Lower end.")
    high: NonNegative = Field(description="Upper end.")
    log: bool = Field(default=True, description="Search the logarithm.")

    @model_validator(mode="after")
    def _order(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, found low {self.low:g} and high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 on a log axis")
        return self


SearchedName = Literal[
    "lr", "init_std", "alpha_input", "alpha_output", "lr_embedding", "lr_readout", "lr_vector",
    "weight_decay", "warmup", "beta1", "beta2",
]  # fmt: skip
"""What a proxy search may vary."""


class TuneSpec(Spec):
    """How base HPs are searched on the dense proxy."""

    strategy: Literal["optuna", "telescope"] = Field(
        default="optuna",
        description="`optuna`: a sampler on the proxy; `telescope`: double the width, shrink the mesh around the best;"
        " without a `space` it looks for the LR alone.",
    )
    sampler: Literal["tpe", "gp", "cmaes", "qmc", "random", "grid"] = Field(
        default="cmaes",
        description="Optuna sampler; replayed on a stored five-dimensional grid `cmaes`, `gp` and `tpe` end alike at"
        " equal trials; `cmaes` strays less than `tpe` and takes no time to think, as `gp` does"
        " (`results/benchmarks`). On a single axis it is `tpe`.",
    )
    trials: int = Field(default=32, ge=1, le=100_000, description="Proxy trials to run, finalists not counted.")
    batch: int = Field(default=4, ge=1, description="Trials asked for at a time.")
    seed: int = Field(default=0, ge=0, description="Seed of the sampler.")
    finalists: int = Field(default=3, ge=1, description="Best trials that are run again with fresh seeds.")
    finalist_seeds: int = Field(default=3, ge=1, description="Fresh seeds for each finalist.")
    pruner: Literal["none", PrunerName] = Field(
        default="none",
        description="Optuna pruner, off by default: the best LR falls as the horizon grows, so early rank misleads.",
    )
    steps: int | None = Field(default=None, ge=1, description="Steps of a proxy trial; by default as in training.")
    rule: str = Field(default="supar", description="Rule of the proxy; at the base size every μP-like rule agrees.")
    space: dict[SearchedName, Range] = Field(
        default={
            "lr": Range(low=2.0**-10, high=2.0**-3),
            "init_std": Range(low=0.01, high=0.32),
            "alpha_input": Range(low=0.5, high=32.0),
            "alpha_output": Range(low=0.5, high=32.0),
        },
        description="What is searched, and where: base HPs by name, `warmup`, `beta1` and `beta2`. The multipliers"
        " `alpha_input` and `alpha_output` are worth as much as the LR; `lr_embedding`, `lr_readout` and `lr_vector`"
        " may be searched too.",
    )
    telescope_widths: Widths = Field(
        default=(),
        description="Widths of `telescope`, rising; by default doubled from a quarter of the base width.",
    )

    @model_validator(mode="before")
    @classmethod
    def _a_telescope_looks_for_the_lr(cls, given: Any) -> Any:
        """A mesh of four values needs hundreds of trials, so that a telescope without a space has the LR alone."""
        if isinstance(given, dict) and given.get("strategy") == "telescope" and "space" not in given:
            return {**given, "space": {"lr": Range(low=2.0**-10, high=2.0**-3)}}
        return given

    @field_validator("space")
    @classmethod
    def _something(cls, value: dict[SearchedName, Range]) -> dict[SearchedName, Range]:
        if not value:
            raise ValueError("nothing to search: name at least one hyperparameter")
        return value


class Cell(NamedTuple):
    """One place of a grid: the size of a model and its density."""

    width: int
    density: float
    depth: int


class CellSpec(Spec):
    """One (width, density, depth) named outright, for joint axes."""

    width: int = Field(ge=1, description="Width.")
    density: Fraction = Field(default=1.0, description="Density of the sparse layers.")
    depth: int | None = Field(default=None, ge=1, description="Depth; by default the base depth.")


class Sweep(Spec):
    """The values of one swept axis."""

    values: Axis | None = Field(default=None, description="Values as they are.")
    multiples: Axis | None = Field(default=None, description="Values as multiples of the base value.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Sweep:
        if (self.values is None) == (self.multiples is None):
            raise ValueError("give either values or multiples")
        return self

    def around(self, base: float) -> tuple[float, ...]:
        """The values, given that of the base."""
        return self.values if self.values is not None else tuple(base * multiple for multiple in self.multiples or ())


class BracketSpec(Spec):
    """`search: bracket`: find each cell's optimum with few trials."""

    probe_fraction: Fraction = Field(default=0.25, description="Budget of a coarse probe, as a share of the steps.")
    probe_step: Positive = Field(default=1.0, description="Spacing of the probe, in octaves.")
    step: Positive = Field(default=1.0, description="Spacing of the first bracket, in octaves.")
    width: Positive = Field(
        default=0.15, description="Stop when the optimum's 95% half-interval is below this, in octaves."
    )
    min_seeds: int = Field(default=2, ge=1, description="Seeds a cell has run before it may stop, however narrow.")
    max_trials: int = Field(
        default=24, ge=6, description="Full-budget trials per cell at most; the first bracket takes six."
    )


class GridSpec(Spec):
    """The fan-out: which trials answer the question."""

    rules: Annotated[Texts, Field(min_length=1)] = Field(
        default=("sp", "mup", "supar"), description="Rules to compare."
    )
    widths: Widths = Field(default=(64,), min_length=1, description="Widths.")
    densities: Densities = Field(default=(1.0,), description="Densities of the sparse layers, in (0, 1].")
    depths: Widths = Field(default=(), description="Depths; empty: the base depth.")
    cells: Annotated[tuple[CellSpec, ...], BeforeValidator(as_tuple)] = Field(
        default=(), description="Joint axis: (width, density) pairs instead of widths × densities."
    )
    nonzeros_per_neuron: int | None = Field(
        default=None,
        ge=1,
        description="Joint axis: at every width the density that leaves this many weights per neuron.",
    )
    lr: Axis | None = Field(default=None, description="Absolute base LRs.")
    lr_multiples: Axis | None = Field(default=None, description="Base LRs as multiples of the tuned one.")
    init_multiples: Axis = Field(default=(1.0,), description="Init standard deviations as multiples of the tuned one.")
    sweep: dict[Annotated[str, named_by(AXES)], Sweep] = Field(
        default_factory=dict,
        description="Further swept axes by name (any of the base HPs, such as `weight_decay`, `alpha_input` or"
        " `lr_embedding`, or your own as `package.module:name`), each with `values` or `multiples`; `lr`"
        " and `init_std` may stand here too.",
    )
    seeds: Seeds = Field(default=(0, 1, 2), description="A number of seeds, or a list of them.")
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Named overrides of training, model, sparsity or base settings (dotted keys); each is a series.",
    )
    by_rule: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Overrides of the same kind that a rule has to itself, by its name: base HPs of its own, as"
        " `base.lr`, take the place of the tuned ones. A variant has the last word.",
    )
    min_nonzeros: NonNegative = Field(
        default=0,
        description="Leave out cells with fewer weights per neuron (width × density) than this.",
    )
    search: GridSearch = Field(
        default="fixed",
        description="`fixed`: every LR; `bracket`: only as many as the optimum's interval needs.",
    )
    bracket: BracketSpec = Field(default=BracketSpec(), description="Settings of `search: bracket`.")
    max_trials: int = Field(default=20_000, ge=1, description="Refuse a grid above this size without `--yes`.")

    @model_validator(mode="after")
    def _one_lr_axis(self) -> GridSpec:
        if self.lr is not None and self.lr_multiples is not None:
            raise ValueError("give lr or lr_multiples, not both")
        if "lr" in self.sweep and (self.lr is not None or self.lr_multiples is not None):
            raise ValueError("give the LRs as lr, as lr_multiples or under sweep, once")
        if "init_std" in self.sweep and self.init_multiples != (1.0,):
            raise ValueError("give the init stds as init_multiples or under sweep, once")
        if self.cells and self.nonzeros_per_neuron:
            raise ValueError("give cells or nonzeros_per_neuron, not both")
        return self

    def overrides_of(self, rule: str, variant: str = "") -> dict[str, Any]:
        """What a series has in place of the study's own settings, by dotted key."""
        return {**self.by_rule.get(rule, {}), **self.variants.get(variant, {})}

    def own_base(self, rule: str, variant: str = "") -> dict[str, float]:
        """Of these the base HPs, by name."""
        said = self.overrides_of(rule, variant).items()
        own = {key.removeprefix("base."): value for key, value in said if key.startswith("base.")}
        return BaseHPs.model_validate(own).model_dump(include=set(own))

    def sweeps(self) -> dict[str, Sweep]:
        """Every swept axis, in the order they are multiplied out: the LR, the init std, then the others as written."""
        lr = Sweep(values=self.lr) if self.lr is not None else Sweep(multiples=self.lr_multiples or (1.0,))
        named = {"lr": lr, "init_std": Sweep(multiples=self.init_multiples)}
        return {**named, **self.sweep}


class DirectSpec(Spec):
    """A comparison: the same search at the targets themselves, and what transferring gives up against it."""

    rules: Texts = Field(default=(), description="Rules searched in every cell; empty: those of the grid.")
    lr_multiples: Axis = Field(
        default=tuple(2.0 ** (k / 2) for k in range(-3, 4)),
        min_length=5,
        description="LRs at which a cell's own winner is run with every seed, as multiples of its own LR.",
    )
    seeds: Seeds | None = Field(default=None, description="Seeds of those runs; null: those of the grid.")


class CheckSpec(Spec):
    """The coordinate check that guards a sweep."""

    enabled: bool = Field(
        default=True, description="Run the check before the sweep, and look at its first step before the search."
    )
    widths: Widths = Field(default=(), description="Widths compared; empty: those of the grid.")
    densities: Densities | None = Field(default=None, description="Densities compared; null: those of the grid.")
    rules: Texts = Field(
        default=(), description="Rules looked at; empty: those expected to be stable. Only these must pass."
    )
    steps: int = Field(default=10, ge=1, description="Optimizer steps on one repeated batch.")
    seeds: Seeds = Field(
        default=(0, 1, 2, 3),
        description="Seeds to start with; while a rule is neither shown to pass nor to fail they are doubled.",
    )
    max_seeds: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="Seeds at most; a rule still open then is INCONCLUSIVE, which is no pass.",
    )
    lr: Positive | None = Field(default=None, description="LR of the check; by default the base LR.")
    first_tolerance: Positive = Field(default=0.1, description="|slope| allowed of an activation at the first step.")
    update_tolerance: Positive = Field(
        default=0.15, description="|slope| allowed of the first update; that of an LR exponent off by ¼ is 0.25."
    )
    last_tolerance: Positive = Field(default=0.5, description="|slope| allowed of an activation at the last step.")


class Study(Spec):
    """One question, fully said: what to train, what the proxy search tunes, the grid, what counts as stable."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Name of the study and of its results folder."
    )
    question: str = Field(default="", description="The question in a sentence, shown in the report.")
    task: Annotated[str, named_by(TASKS)] = Field(
        default="language",
        description="What a batch is and what the loss is: `language`, or your own as `package.module:name`.",
    )
    trainer: Annotated[str, named_by(TRAINERS)] = Field(
        default="packs",
        description="Who trains: `packs`, the engine that ships, or your own function as `package.module:name`.",
    )
    model: ModelSpec = Field(default=ModelSpec(), description="What is trained.")
    data: DataSpec = Field(default=DataSpec(), description="Where tokens come from.")
    training: TrainingSpec = Field(default=TrainingSpec(), description="Budget and optimizer.")
    sparsity: SparsitySpec = Field(default=SparsitySpec(), description="Which weights are zero.")
    base: BaseSpec = Field(default=BaseSpec(), description="The dense proxy and its HPs before tuning.")
    tune: TuneSpec | None = Field(default=None, description="The proxy search; leave out to use `base` as it is.")
    grid: GridSpec = Field(default=GridSpec(), description="The fan-out.")
    check: CheckSpec = Field(default=CheckSpec(), description="The coordinate check before the sweep.")
    direct: DirectSpec | None = Field(
        default=None,
        description="The search of `tune` once more in every cell of the grid, as a comparison; leave out to skip it.",
    )
    verdict: VerdictSpec = Field(default=VerdictSpec(), description="What counts as stable.")
    rules: dict[str, Any] = Field(default_factory=dict, description="Rule tables of your own, by name.")

    @model_validator(mode="after")
    def _direct_searches(self) -> Study:
        if self.direct is not None and self.tune is None:
            raise ValueError("direct repeats the search of `tune` in every cell: add a `tune` section with a `space`")
        if self.direct is not None and (odd := [r for r in self.direct.rules if r not in self.grid.rules]):
            raise ValueError(f"direct.rules names {', '.join(odd)}, which grid.rules does not run")
        return self

    @property
    def direct_seeds(self) -> tuple[int, ...]:
        """Seeds of the direct comparison: those it names, else those of the grid."""
        return (self.direct.seeds if self.direct is not None else None) or self.grid.seeds

    @property
    def corner(self) -> Cell:
        """The cell that a report explains: the largest width, there the lowest density, there the largest depth."""
        return max(self.cells, key=lambda cell: (cell.width, -cell.density, cell.depth))

    @property
    def telescope_widths(self) -> tuple[int, ...]:
        """Widths a telescope goes through: those it names, else a quarter, a half and the whole of the proxy's."""
        named = self.tune.telescope_widths if self.tune is not None else ()
        return named or tuple(sorted({max(1, self.base.width // part) for part in (4, 2, 1)}))

    @property
    def cells(self) -> list[Cell]:
        """Every cell of the grid, without those below `min_nonzeros`."""
        grid, depths = self.grid, self.grid.depths or (self.base.depth,)
        if grid.cells:
            chosen = [Cell(c.width, c.density, c.depth or depth) for c in grid.cells for depth in depths]
        elif n := grid.nonzeros_per_neuron:
            chosen = [Cell(width, min(1.0, n / width), depth) for width, depth in product(grid.widths, depths)]
        else:
            chosen = [Cell(*place) for place in product(grid.widths, grid.densities, depths)]
        return [cell for cell in chosen if cell.width * cell.density >= grid.min_nonzeros]
