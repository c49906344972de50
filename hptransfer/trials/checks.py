"""What must fit together in a study: rules that exist, widths the model takes, densities an n:m pattern can have.

`refuse_misfits` refuses what cannot run; `study_warnings` names what runs but may not answer the question. Neither
runs code of the user's own: of what a study names, only what ships is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os.path import isfile

from hptransfer.common.errors import InputError, did_you_mean, nearest
from hptransfer.common.seams import is_outside
from hptransfer.scaling.build_model import shapes_only
from hptransfer.scaling.rules import known_rules, rule_from_table
from hptransfer.scaling.said_role import said_role
from hptransfer.study.axes import FEW_NONZEROS
from hptransfer.study.base import BaseHPs
from hptransfer.study.series_name import split_series
from hptransfer.study.study import Study
from hptransfer.tasks.models.factory import resolve_factory
from hptransfer.trials.settled import Settled

__all__ = ["refuse_misfits", "study_warnings", "unknown_rule"]

VARIED = ("training", "model", "sparsity", "base")


def refuse_misfits(study: Study) -> None:
    """Refuse, by one `InputError`, a study whose parts do not fit together."""
    _check_data(study)
    _check_own_rules(study)
    _check_rule_names(study)
    _check_shapes(study)
    for key in ("variants", "by_rule"):
        for name, overrides in getattr(study.grid, key).items():
            _check_overrides(f"grid.{key}.{name}", tuple(overrides))
    plain = Settled(study, study.base.hps, "fp32", "")  # neither precision nor data matter here
    for rule in ("", *study.grid.by_rule):
        settled = plain.of_rule(rule)
        variants = settled.variants()
        _refuse_equal_variants(variants)
        for name, variant in {"": settled, **variants}.items():
            try:
                _check_model(variant.study)
                _check_pattern(variant.study)
                _check_sweeps(variant)
            except InputError as error:
                places = [f"grid.variants.{name}"] * bool(name) + [f"grid.by_rule.{rule}"] * bool(rule)
                raise (error.at(": ".join(places)) if places else error) from None


def study_warnings(study: Study) -> list[str]:
    """What will run but may not answer the question, each in a sentence or two that says why."""
    cells = study.cells
    narrowest = min(cell.width for cell in cells)
    few = sorted({c.width * c.density for c in cells if c.density < 1 and c.width * c.density < FEW_NONZEROS})
    points = max(len(sweep.around(1.0)) for sweep in study.grid.sweeps().values())
    found = []
    if study.base.width > narrowest:
        found.append(
            f"base.width {study.base.width} is wider than the target width {narrowest}: base HPs are tuned where"
            " training is dearer than where they are used, and a rule's width correction is then applied backwards."
        )
    if few:
        found.append(
            f"some cells leave {few[0]:g} weights per neuron: below about {FEW_NONZEROS} the averages that every rule"
            " rests on no longer hold; `grid.min_nonzeros` leaves such cells out."
        )
    if study.grid.search == "fixed" and points < 5:
        found.append(
            f"the grid has {points} point(s) on its swept axis: the optimum needs two finite points on either side,"
            " so the verdict will be INCONCLUSIVE; give `grid.lr_multiples` at least five."
        )
    if len(study.grid.seeds) < 2:
        found.append("one seed: the noise cannot be told from the effect; give `grid.seeds` two or more.")
    missing = [name for name in study.verdict.expect_stable if split_series(name)[0] not in study.grid.rules]
    if missing:
        found.append(
            f"verdict.expect_stable names {', '.join(missing)}, which grid.rules does not run:"
            " `hptransfer verdict` cannot exit 0."
        )
    return found


def _check_data(study: Study) -> None:
    if study.data.source not in ("text", "tokens"):
        return
    for key, path in (("path", study.data.path), ("validation_path", study.data.validation_path)):
        if path is not None and not isfile(path):
            raise InputError("no such file", where=f"data.{key}", found=path, allowed="an existing file")


def _check_own_rules(study: Study) -> None:
    for name, table in study.rules.items():
        if name in known_rules():
            raise InputError(
                "is the name of a rule that ships", where=f"rules.{name}", hint="give your table a name of its own"
            )
        if not isinstance(table, dict):
            raise InputError("is not a table", where=f"rules.{name}", found=table, allowed="a table of exponents")
        if "like" in table and table["like"] not in known_rules():
            raise unknown_rule(str(table["like"]), f"rules.{name}.like", known_rules())
        rule_from_table(name, table)


def _check_rule_names(study: Study) -> None:
    known = (*known_rules(), *study.rules)
    expected = [split_series(name)[0] for name in study.verdict.expect_stable]
    lists = {"grid.rules": study.grid.rules, "check.rules": study.check.rules, "verdict.expect_stable": expected}
    named = {f"{where}[{i}]": name for where, names in lists.items() for i, name in enumerate(names)}
    named |= {f"grid.by_rule.{name}": name for name in study.grid.by_rule}
    if study.tune is not None:
        named["tune.rule"] = study.tune.rule
    for where, name in named.items():
        if name not in known:
            raise unknown_rule(name, where, known)
    if study.tune is not None and study.tune.rule in study.grid.by_rule:
        raise InputError(
            "is the rule that the proxy search tunes, so its settings are the study's own",
            where=f"grid.by_rule.{study.tune.rule}",
            hint="write them outside the grid, or tune under another rule (tune.rule)",
        )


def unknown_rule(name: str, where: str, known: tuple[str, ...]) -> InputError:
    """The refusal of a rule that nobody named, with the nearest known one."""
    hint = did_you_mean(nearest(name, known), "a rule of your own is a table under `rules`")
    return InputError("unknown rule", where=where, found=name, allowed=", ".join(known), hint=hint)


def _check_shapes(study: Study) -> None:
    if not study.cells:
        raise InputError(
            "leaves no cell of the grid",
            where="grid.min_nonzeros",
            found=study.grid.min_nonzeros,
            allowed="at most the largest width × density of the grid",
        )
    widths = study.tune.telescope_widths if study.tune is not None else ()
    if list(widths) != sorted(widths):
        raise InputError("must rise", where="tune.telescope_widths", found=list(widths))
    for pattern, role in study.model.roles.items():
        said_role(role, where=f"model.roles.{pattern}")


def _check_overrides(where: str, keys: tuple[str, ...]) -> None:
    """What a variant, or a rule of its own, may set."""
    for key in keys:
        if key.split(".")[0] not in VARIED or "." not in key:
            raise InputError(
                "this cannot be set here", where=where, found=key, allowed="dotted keys under " + ", ".join(VARIED)
            )
        if key.split(".")[0] == "base" and key.removeprefix("base.") not in BaseHPs.model_fields:
            raise InputError(
                "the proxy is the study's own; of `base` the HPs can be set here",
                where=where,
                found=key,
                allowed=", ".join(f"base.{field}" for field in BaseHPs.model_fields),
            )


def _refuse_equal_variants(variants: Mapping[str, Settled]) -> None:
    """Two names for the same settings would share their trials, and one of them have none."""
    seen: dict[str, str] = {}
    for name, variant in variants.items():
        settings = variant.study.model_dump_json(exclude={"grid"}) + variant.hps.model_dump_json()
        if settings in seen:
            raise InputError(f"has the settings of '{seen[settings]}'", where=f"grid.variants.{name}", hint="drop one")
        seen[settings] = name


def _check_sweeps(settled: Settled) -> None:
    """Refuse multiples of 0. What a search will find, and an axis of the user's own, can only be seen as it runs."""
    searched = settled.study.tune.space if settled.study.tune is not None else {}
    for name in settled.study.grid.sweeps():
        if name not in searched and not is_outside(name):
            settled.values_of(name)


def _check_model(study: Study) -> None:
    """Build a model of this package's own at every width, without memory. A factory of the user's own is left alone:
    reading a study runs no code of theirs."""
    if is_outside(study.model.factory):
        return
    build = resolve_factory(study.model, {"vocab_size": 256, "context": study.training.sequence_length})
    for where, width in dict.fromkeys(_widths(study)):
        try:
            with shapes_only():
                build(width=width, depth=1)
        except InputError as error:
            raise InputError(
                f"{where} = {width} does not fit the model: {error.problem}",
                where=error.where or where,
                found=error.found,
                allowed=error.allowed,
                hint=error.hint,
            ) from None
        except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            # Whatever a nonsensical option makes of the constructor is the option's fault.
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"the model cannot be built at {where} = {width}: {first}",
                where="model.options",
                found=study.model.options,
            ) from None


def _widths(study: Study) -> Iterator[tuple[str, int]]:
    yield "base.width", study.base.width
    yield from (("grid.cells" if study.grid.cells else "grid.widths", cell.width) for cell in study.cells)
    yield from (("check.widths", width) for width in study.check.widths)
    if study.tune is not None and study.tune.strategy == "telescope":
        yield from (("tune.telescope_widths", width) for width in study.telescope_widths)


def _check_pattern(study: Study) -> None:
    """An n:m pattern has one density only."""
    if ":" not in study.sparsity.kind:
        return
    n, m = (int(part) for part in study.sparsity.kind.split(":"))
    if n > m:
        raise InputError("keeps more than there is", where="sparsity.kind", found=study.sparsity.kind, allowed="n ≤ m")
    densities = [("grid.densities", cell.density) for cell in study.cells]
    densities += [("check.densities", density) for density in study.check.densities or ()]
    for where, density in densities:
        if density not in (1.0, n / m):
            raise InputError(
                f"a {n}:{m} pattern cannot have this density",
                where=where,
                found=density,
                allowed=f"{n / m:g} ({n}/{m}) or 1",
            )
