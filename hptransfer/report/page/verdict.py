"""The verdict on the page: the question, the sentence, and a card per series with a badge per axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hptransfer.analysis.results import Results
from hptransfer.analysis.verdict import AxisVerdict
from hptransfer.common.number_text import percent_text, regret_text
from hptransfer.report.figures.labels import interval_text
from hptransfer.report.page.elements import badge, sample, style_of
from hptransfer.report.page.markup import Markup, tag
from hptransfer.report.series_look import order_series, series_styles, series_text

__all__ = ["verdict_section"]

LONGEST_HEADLINE = 80


def verdict_section(results: Results) -> Markup:
    """The first thing on the page."""
    asked = (results.study or {}).get("question")
    judgement = results.judgement
    sentence = judgement.sentence if judgement else f"No verdict yet: {results.no_judgement}."
    question = str(asked or "Do the hyperparameters tuned on the small dense model hold?")
    parts: list[object] = [tag("h1", question), _headline(sentence)]
    if judgement:
        names = order_series([v.series for v in judgement.verdicts])
        cards = [_card(name, names, [v for v in judgement.verdicts if v.series == name]) for name in names]
        parts.append(tag("div", *cards, class_="cards"))
        parts += [tag("p", note[:1].upper() + note[1:] + ".", class_="note") for note in judgement.notes]
    return tag("section", *parts, id="verdict", class_="first")


def _headline(sentence: str) -> Markup:
    """The verdict's sentence: its first clause large (without its parenthesis when that is long), the rest below."""
    end = _first_clause(sentence)
    if end > LONGEST_HEADLINE and " (" in sentence[:end]:
        end = sentence.index(" (")
    first, rest = sentence[:end].rstrip("."), sentence[end:].lstrip("; .")
    below = tag("span", " " + rest, class_="rest") if rest else None
    return tag("p", first + ".", below, class_="sentence", id="sentence")


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
    style = style_of(series_styles(names)[name])
    return tag("div", head, *(_axis_row(v) for v in verdicts), class_="card c", style=style)


def _axis_row(v: AxisVerdict) -> Markup:
    figures: list[object] = []
    if not math.isnan(v.regret):
        worst = regret_text(v.regret, v.regret_high)
        figures += _figure("worst regret", worst, v.regret_low, v.regret_high, percent_text)
    if not math.isnan(v.slope):
        figures += _figure("drift", _signed(v.slope), v.slope_low, v.slope_high, _signed, " oct/oct")
    return tag(
        "div",
        tag("div", tag("span", f"over {v.axis}"), badge(v.verdict), class_="head"),
        tag("div", *figures, class_="figs") if figures else None,
        tag("p", v.why) if v.why else None,
        class_="axis-row",
    )


def _figure(
    name: str, value: str, low: float, high: float, write: Callable[[float], str], unit: str = ""
) -> tuple[Markup, Markup]:
    return tag("span", name), tag("span", tag("b", value), interval_text(low, high, write), unit)


def _signed(value: float) -> str:
    if not math.isfinite(value):
        return "unbounded"
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")
