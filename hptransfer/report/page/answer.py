"""The answer in numbers: the base HPs, and what they mean tensor by tensor at the study's largest, sparsest cell.

The table is the one the run stored (`tensors.json`): no model is built for a page, and no code runs that a results
folder names.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, flops_text, value_text
from hptransfer.report.page.elements import command_block, number, section, table
from hptransfer.report.page.markup import Markup, join, power, tag
from hptransfer.report.series_look import series_text
from hptransfer.store.file_names import STUDY_FILE, TENSORS_FILE
from hptransfer.store.folders import is_local
from hptransfer.study.base import BaseHPs
from hptransfer.study.study import Study

__all__ = ["answer_section", "base_hps", "study_path"]

_HPS = {
    "lr": "learning rate",
    "init_std": "init std",
    "alpha_input": "α input",
    "alpha_output": "α output",
    "lr_embedding": "embedding LR ×",
    "lr_readout": "readout LR ×",
    "lr_vector": "vector LR ×",
    "weight_decay": "weight decay",
}
Group = Sequence[Mapping[str, Any]]
"""Explained rows that get the same treatment."""
_SAME = ("role", "density", "init", "init_std", "lr", "weight_decay", "eps", "multiplier", "multiplier_at")


def study_path(results: Results) -> str:
    """The study file that lies with the results, for commands, which read one from a local path alone."""
    there = results.uri and results.study and is_local(results.uri)
    return f"{results.uri.rstrip('/')}/{STUDY_FILE}" if there else "STUDY.yaml"


def base_hps(results: Results) -> BaseHPs | None:
    """The base HPs in force: tuned ones, else the study's own; None for a foreign folder without either."""
    if results.base is not None:
        return results.base.hps
    given = (results.study or {}).get("base") or {}
    known = {name: given[name] for name in BaseHPs.model_fields if name in given}
    try:
        return BaseHPs(**known) if "lr" in known else None
    except ValueError:
        return None


def answer_section(results: Results) -> Markup | None:
    """The base HPs and what they mean."""
    hps = base_hps(results)
    if hps is None:
        return None
    tuned = results.base is not None and results.base.tuned
    items = [
        tag(
            "li",
            tag("span", words, class_="what"),
            tag("span", value_text(getattr(hps, name)), class_="val"),
            tag("span", power(getattr(hps, name)), class_="also") if name in ("lr", "init_std") else None,
        )
        for name, words in _HPS.items()
    ]
    title = "Use these base hyperparameters" if tuned else "The base hyperparameters"
    listed = tag("ul", *items, class_="base")
    return section("answer", title, listed, _own_settings(results), _meaning(results), lead=_lead(results, tuned))


def _lead(results: Results, tuned: bool) -> Markup:
    base = results.base
    words: list[object] = ["Base values, as the proxy search found them"]
    if base is None or not tuned:
        untuned = "nothing was tuned, so the verdict is about each rule's own best at its base cell"
        words = [f"Base values, as the study gives them; {untuned}"]
    elif base.flat_low and base.flat_high:
        span = ["any learning rate from ", power(base.flat_low), " to ", power(base.flat_high)]
        words.append(join([*span, " is as good within the noise"]))
    if base is not None and base.trials:
        words.append(f"found in {base.trials} trials" + (f" ({flops_text(base.flops)})" if base.flops else ""))
    return join([join(words, "; "), "."])


def _own_settings(results: Results) -> Markup | None:
    """What a rule has in place of the study's settings."""
    said = [
        f"{series_text(rule)} has its own {', '.join(f'{key} {json.dumps(value)}' for key, value in own.items())}"
        for rule, own in results.grid.by_rule.items()
    ]
    return tag("p", f"{'; '.join(said)}.", class_="note") if said else None


def _meaning(results: Results) -> Markup | None:
    """What the base values come to under the rule that held, with the command that says it of every tensor."""
    try:
        study = Study.model_validate(dict(results.study or {}))
    except ValueError:
        return None
    rule = _rule(study, results)
    stored = results.tensors or {}
    rows = (stored.get("rules") or {}).get(rule) or []
    width, density = (stored["width"], stored["density"]) if rows else _corner(study, results)
    found = {v.verdict for v in results.judgement.verdicts if v.rule == rule} if results.judgement else set()
    caution = "It was not found stable everywhere, see the verdict." if found != {"STABLE"} else ""
    options = ["--rule", rule, "--width", str(width), "--density", f"{density:.9g}"]
    groups = _grouped(rows)
    return tag(
        "div",
        tag("h3", f"On width {width} at density {density_text(density)} they mean, under {series_text(rule)}"),
        tag("p", caution, class_="lead") if caution else None,
        _groups_table(groups) if groups else None,
        _sources(groups) if groups else None,
        tag("p", "Every tensor by name:" if groups else f"No {TENSORS_FILE} lies here. This prints it:", class_="note"),
        command_block(shlex.join(["hptransfer", "explain", study_path(results), *options]), "explain-command"),
    )


def _corner(study: Study, results: Results) -> tuple[int, float]:
    """The largest width and there the lowest density: of what was judged, else of what is planned."""
    cells = [(cell.key.width, cell.key.density) for cell in results.cells]
    cells = cells or [(cell.width, cell.density) for cell in study.cells]
    return max(cells, key=lambda c: (c[0], -c[1]), default=(study.base.width, 1.0))


def _rule(study: Study, results: Results) -> str:
    """A rule found stable on every axis, those expected to be so first; without one, the first that is expected."""
    verdicts = results.judgement.verdicts if results.judgement else ()
    ran = list(dict.fromkeys(v.rule for v in verdicts)) or list(study.grid.rules)
    expected = [rule for rule in study.verdict.expect_stable if rule in ran]
    order = list(dict.fromkeys([*expected, *ran]))
    held = [rule for rule in order if verdicts and all(v.verdict == "STABLE" for v in verdicts if v.rule == rule)]
    return (held or order)[0]


def _grouped(rows: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Tensors with equal numbers fall together, whatever their names and shapes; in the model's order."""
    kept: dict[tuple[object, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = tuple(f"{v:.9g}" if isinstance(v := row.get(name), float) else v for name in _SAME)
        kept.setdefault(key, []).append(row)
    return list(kept.values())


def _groups_table(groups: Sequence[Group]) -> Markup:
    numeric = ("init std", "learning rate", "weight decay", "multiplier", "density")
    heads = [("role", ""), *((head, "num") for head in numeric), ("tensors", "")]
    return table(heads, [_cells(group) for group in groups], "What the base values mean")


def _cells(group: Group) -> list[object]:
    row = group[0]
    size = "" if row["init_std"] is None else value_text(row["init_std"])
    init = size if row["init"] == "normal" else f"{row['init']} {size}".strip()
    lr = join([value_text(number(row["lr"])), tag("small", f" ×{value_text(number(row['lr_scale']))}")])
    multiplier = f"{value_text(number(row['multiplier']))} on {row['multiplier_at']}" if row["multiplier_at"] else "–"
    more = tag("small", f" and {len(group) - 1} more") if len(group) > 1 else None
    decay, density = value_text(number(row["weight_decay"])), density_text(number(row["density"]))
    return [row["role"], init, lr, decay, multiplier, density, join([tag("code", row["name"]), more])]


def _sources(groups: Sequence[Group]) -> Markup:
    """Which cells of the rule gave the numbers, a line per group."""
    facts = [part for g in groups for part in (tag("dt", tag("code", g[0]["name"])), tag("dd", g[0]["source"]))]
    return tag("details", tag("summary", "Which line of the rule says so"), tag("dl", *facts, class_="facts sources"))
