"""The page's sections on what was found: the verdict, the answer, the map of regret."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.analysis.verdict import AxisVerdict
from hptransfer.common.number_text import density_text, flops_text, percent_text, regret_text, value_text
from hptransfer.report.answer import Answer, Group, base_hps
from hptransfer.report.markup import Markup, join, power, tag
from hptransfer.report.plot_cells import regret_edges
from hptransfer.report.style import order_series, series_styles, series_text
from hptransfer.store.file_names import STUDY_FILE
from hptransfer.store.folders import is_local

__all__ = [
    "answer_section",
    "colours",
    "is_settled",
    "number",
    "regret_figure",
    "sample",
    "study_path",
    "verdict_section",
]

_MARKS = {"STABLE": "✓", "DRIFT": "↗", "INCONCLUSIVE": "?"}
_HPS = {
    "lr": "learning rate",
    "init_std": "init std",
    "alpha_input": "α input",
    "alpha_output": "α output",
    "weight_decay": "weight decay",
}


def badge(verdict: str) -> Markup:
    """A verdict as a pill, told apart by sign and word as well as by colour."""
    kind = verdict.lower() if verdict in _MARKS else "other"
    return tag("span", f"{_MARKS.get(verdict, '')} {verdict}".strip(), class_=f"badge {kind}")


def sample(name: str, names: Sequence[str]) -> Markup:
    """A place the script fills with the line and marker of a series."""
    style = series_styles(names)[name]
    given = {"light": style.colour, "dark": style.dark, "dash": list(style.dash), "marker": style.marker}
    return tag("span", data_sample=json.dumps(given))


def colours(name: str, names: Sequence[str]) -> str:
    """CSS that gives an element the colour of a series, on paper and on a dark page."""
    style = series_styles(names)[name]
    return f"--l:{style.colour};--d:{style.dark}"


# Verdict -----------------------------------------------------------------------------------------------------------


def verdict_section(results: Results) -> Markup:
    """The question, the sentence, and a card a series with a badge an axis."""
    question = str(
        (results.study or {}).get("question") or "Do the hyperparameters tuned on the small dense model hold?"
    )
    judgement = results.judgement
    sentence = judgement.sentence if judgement else f"No verdict yet: {results.no_judgement}."
    parts: list[object] = [tag("h1", question), _sentence(sentence)]
    if judgement:
        names = order_series([v.series for v in judgement.verdicts])
        cards = [_card(name, names, [v for v in judgement.verdicts if v.series == name]) for name in names]
        parts.append(tag("div", *cards, class_="cards"))
        parts += [tag("p", note[:1].upper() + note[1:] + ".", class_="note") for note in judgement.notes]
    return tag("section", *parts, id="verdict", class_="first")


LONGEST_HEADLINE = 80


def _sentence(sentence: str) -> Markup:
    """The verdict's sentence: its first clause large (without its parenthesis when that is long), the rest below."""
    end = _first_clause(sentence)
    if end > LONGEST_HEADLINE and " (" in sentence[:end]:
        end = sentence.index(" (")
    first, rest = sentence[:end].rstrip("."), sentence[end:].lstrip("; .")
    return tag(
        "p", first + ".", tag("span", " " + rest, class_="rest") if rest else None, class_="sentence", id="sentence"
    )


def _first_clause(sentence: str) -> int:
    """Where the first `; ` outside parentheses stands; the whole length without one."""
    depth = 0
    for i, char in enumerate(sentence):
        depth += (char == "(") - (char == ")")
        if depth == 0 and sentence.startswith("; ", i):
            return i
    return len(sentence)


def _card(name: str, names: Sequence[str], verdicts: Sequence[AxisVerdict]) -> Markup:
    title = series_text(name)
    head = tag("h3", sample(name, names), title, tag("span", name, class_="raw") if title != name else None)
    return tag("div", head, *(_axis_row(v) for v in verdicts), class_="card c", style=colours(name, names))


def _axis_row(verdict: AxisVerdict) -> Markup:
    regret = (verdict.regret, verdict.regret_low, verdict.regret_high)
    slope = (verdict.slope, verdict.slope_low, verdict.slope_high)
    figures: list[object] = []
    if not math.isnan(regret[0]):
        figures += [
            tag("span", "worst regret"),
            tag("span", tag("b", regret_text(regret[0], regret[2])), _interval(regret, percent_text)),
        ]
    if not math.isnan(slope[0]):
        figures += [
            tag("span", "drift"),
            tag("span", tag("b", _signed(slope[0])), _interval(slope, _signed), " oct/oct"),
        ]
    return tag(
        "div",
        tag("div", tag("span", f"over {verdict.axis}"), badge(verdict.verdict), class_="head"),
        tag("div", *figures, class_="figs") if figures else None,
        tag("p", verdict.why),
        class_="axis-row",
    )


def number(value: object) -> float:
    """A float; NaN for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _interval(triple: tuple[float, float, float], write: Any) -> str:
    low, high = triple[1], triple[2]
    if math.isnan(low) or math.isnan(high):
        return ""
    return f" ({write(low)} to {'unbounded' if math.isinf(high) else write(high)})"


def _signed(value: float) -> str:
    if not math.isfinite(value):
        return "unbounded"
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


def study_path(results: Results) -> str:
    """The study file that lies with the results, for commands, which read one from a local path alone."""
    there = results.uri and results.study and is_local(results.uri)
    return f"{results.uri.rstrip('/')}/{STUDY_FILE}" if there else "STUDY.yaml"


# Answer ------------------------------------------------------------------------------------------------------------


def answer_section(results: Results, answer: Answer | None) -> Markup | None:
    """The base HPs and what they mean, tensor group by tensor group, at the largest, sparsest cell."""
    base = base_hps(results)
    if base is None:
        return None
    tuned = results.transferred is not None
    source = (
        "as the proxy search found them"
        if tuned
        else "as the study gives them; nothing was tuned, so the verdict is about each rule's own best at its base cell"
    )
    chosen = {name: getattr(base, name) for name in _HPS}
    items = [
        tag(
            "li",
            tag("span", _HPS[n], class_="what"),
            tag("span", value_text(v), class_="val"),
            tag("span", power(v), class_="also") if n in ("lr", "init_std") else None,
        )
        for n, v in chosen.items()
    ]
    parts: list[object] = [
        tag("h2", "Use these base hyperparameters" if tuned else "The base hyperparameters"),
        tag("p", _base_lead(results, source), class_="lead"),
        tag("ul", *items, class_="base"),
    ]
    if answer:
        parts.append(_meaning(results, answer))
    return tag("section", *parts, id="answer")


def _base_lead(results: Results, source: str) -> Markup:
    base = results.base_values
    words: list[object] = [f"Base values, {source}"]
    low, high = number(base.get("flat_low")), number(base.get("flat_high"))
    if 0 < low < high:
        words.append(join(["any learning rate from ", power(low), " to ", power(high), " is as good within the noise"]))
    trials, flops = number(base.get("trials")), number(base.get("flops"))
    if trials > 0:
        words.append(f"found in {trials:.0f} trials" + (f" ({flops_text(flops)})" if flops > 0 else ""))
    return join([join(words, "; "), "."])


def _meaning(results: Results, answer: Answer) -> Markup:
    where = f"width {answer.width} at density {density_text(answer.density)}"
    found = {v.verdict for v in results.judgement.verdicts if v.rule == answer.rule} if results.judgement else set()
    caution = "" if found == {"STABLE"} else " It was not found stable everywhere, see the verdict."
    head = tag("h3", f"On {where} they mean, under {series_text(answer.rule)}")
    options = ["--rule", answer.rule, "--width", str(answer.width), "--density", f"{answer.density:.9g}"]
    command = shlex.join(["hptransfer", "explain", study_path(results), *options])
    parts: list[object] = [head]
    if caution:
        parts.append(tag("p", caution.strip(), class_="lead"))
    if answer.groups:
        parts.append(_groups_table(answer.groups))
        parts.append(_sources(answer.groups))
        parts.append(tag("p", "Every tensor by name:", class_="note"))
    else:
        parts.append(tag("p", f"No table here: {answer.why_not}. This prints it:", class_="note"))
    return tag("div", *parts, _command(command, "explain-command"))


def _groups_table(groups: Sequence[Group]) -> Markup:
    heads = ("role", "init std", "learning rate", "weight decay", "multiplier", "density", "tensors")
    rows = [tag("tr", *_group_cells(group)) for group in groups]
    numeric = {"density", "init std", "learning rate", "weight decay", "multiplier"}
    head = tag("tr", *(tag("th", h, scope="col", class_="num" if h in numeric else None) for h in heads))
    return tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", *rows)),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="What the base values mean",
    )


def _sources(groups: Sequence[Group]) -> Markup:
    """Which cells of the rule gave the numbers, a line a group."""
    facts = [part for g in groups for part in (tag("dt", tag("code", g.example)), tag("dd", g.scale.source))]
    return tag("details", tag("summary", "Which line of the rule says so"), tag("dl", *facts, class_="facts sources"))


def _group_cells(group: Group) -> list[Markup]:
    scale = group.scale
    more = tag("small", f" and {group.count - 1} more") if group.count > 1 else None
    init = value_text(scale.init_std) if scale.init == "normal" else scale.init
    lr = join([value_text(scale.lr), tag("small", f" ×{value_text(scale.lr_scale)}")])
    multiplier = f"{value_text(scale.multiplier)}" + (f" on {scale.multiplier_at}" if scale.multiplier_at else "")
    return [
        tag("td", scale.role),
        tag("td", init, class_="num"),
        tag("td", lr, class_="num"),
        tag("td", value_text(scale.weight_decay), class_="num"),
        tag("td", multiplier if scale.multiplier_at else "–", class_="num"),
        tag("td", density_text(scale.density), class_="num"),
        tag("td", tag("code", group.example), more),
    ]


def _command(command: str, name: str) -> Markup:
    return tag("pre", tag("code", command, id=name))


# Regret ------------------------------------------------------------------------------------------------------------


def regret_figure(results: Results, delta: float) -> Markup | None:
    """The heat map of regret as tables: readable without script, with values under the pointer and arrow keys."""
    cells = results.judgement.cells if results.judgement else pd.DataFrame()
    if cells.empty or cells["regret"].isna().all():
        return None
    names = order_series(list(cells["series"]))
    edges = regret_edges(delta)
    depths = sorted(cells["depth"].unique())
    maps = [
        _heat(
            cells[(cells["series"] == n) & (cells["depth"] == d)],
            series_text(n) + (f", depth {d:g}" if len(depths) > 1 else ""),
            edges,
        )
        for n in names
        for d in depths
        if len(cells[(cells["series"] == n) & (cells["depth"] == d)])
    ]
    steps = [f"at most {100 * edges[0]:g}%", *(f"above {100 * e:g}%" for e in edges)]
    scale = [tag("li", tag("i", style=f"background:var(--h{i})"), s) for i, s in enumerate(steps)]
    return tag(
        "div",
        tag("h3", "What the transferred value costs"),
        tag("p", "Regret: how much lower the loss of a cell would be at its own best value.", class_="lead"),
        tag("div", *maps, class_="heats"),
        tag("ul", *scale, class_="scale"),
        tag(
            "p",
            f"Bold: surely above {percent_text(delta, 1)}. ≥: not run there. Question mark: the cell is not settled.",
            class_="note",
        ),
        class_="figure",
        id="regret",
    )


def _heat(cells: pd.DataFrame, title: str, edges: Sequence[float]) -> Markup:
    widths = sorted(cells["width"].unique(), reverse=True)
    densities = sorted(cells["density"].unique(), reverse=True)
    known = {(r["width"], r["density"]): r for r in cells.to_dict("records")}
    rows, first = [], True
    for width in widths:
        tds = []
        for density in densities:
            row = known.get((width, density))
            tds.append(_heat_cell(row, edges, first) if row else tag("td"))
            first = first and row is None
        rows.append(tag("tr", tag("th", f"{width:g}", scope="row"), *tds))
    head = tag("tr", tag("th", "width ╲ density"), *(tag("th", density_text(float(d)), scope="col") for d in densities))
    return tag(
        "figure",
        tag("figcaption", title),
        tag("table", tag("thead", head), tag("tbody", *rows), class_="heat", aria_label=f"Regret, {title}"),
    )


def _heat_cell(row: Mapping[Any, Any], edges: Sequence[float], first: bool) -> Markup:
    value, low, high = number(row["regret"]), number(row["regret_low"]), number(row["regret_high"])
    settled = math.isfinite(value) and math.isfinite(low) and is_settled(row)
    if math.isnan(value):
        shade, words = "none", "–"
    else:
        shade = f"h{sum(value > e for e in edges)}"
        words = regret_text(value, high, 1) if math.isfinite(value) else "div."
    tip = f"width {row['width']:g}, density {density_text(float(row['density']))}\nregret {regret_text(value, high)}"
    tip += _interval((value, low, high), percent_text) + (f"\n{row['why']}" if row.get("why") else "")
    sure = " sure" if low > edges[0] else ""
    return tag("td", words + ("" if settled else " ?"), class_=shade + sure, data_tip=tip, tabindex=0 if first else -1)


def is_settled(row: Mapping[Any, Any]) -> bool:
    """Whether the analysis calls this cell settled."""
    return row.get("status") != "INCONCLUSIVE"
