"""What several sections of the page are put together from."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from hptransfer.report.page.markup import Markup, tag
from hptransfer.report.series_look import LineStyle, series_styles

__all__ = ["badge", "command_block", "head_of", "number", "sample", "section", "style_of", "table"]

_MARKS = {"STABLE": "✓", "DRIFT": "↗", "INCONCLUSIVE": "?"}


def section(name: str, title: str, *content: object, lead: object = None) -> Markup:
    """A part of the page that the menu leads to."""
    return tag("section", tag("h2", title), tag("p", lead, class_="lead") if lead else None, *content, id=name)


def badge(verdict: str) -> Markup:
    """A verdict as a pill, told apart by sign and word as well as by colour."""
    kind = verdict.lower() if verdict in _MARKS else "other"
    return tag("span", f"{_MARKS.get(verdict, '')} {verdict}".strip(), class_=f"badge {kind}")


def sample(name: str, names: Sequence[str]) -> Markup:
    """A place the script fills with the line and marker of a series."""
    return tag("span", data_sample=json.dumps(series_styles(names)[name].to_json()))


def style_of(style: LineStyle) -> str:
    """CSS that gives an element a line's colour, on paper and on a dark page."""
    return f"--l:{style.light};--d:{style.dark}"


def command_block(command: str, name: str | None = None) -> Markup:
    """A command to copy."""
    return tag("pre", tag("code", command, id=name))


def table(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]], label: str | None = None) -> Markup:
    """A table in a box that scrolls sideways; a head is (text, class), and its class is that of its column."""
    body = [
        tag("tr", *(tag("td", cell, class_=kind or None) for cell, (_, kind) in zip(row, heads, strict=True)))
        for row in rows
    ]
    whole = tag("table", head_of(heads), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex=0, role="region" if label else None, aria_label=label)


def head_of(heads: Sequence[tuple[str, str]]) -> Markup:
    """The head of a table: texts with their classes."""
    cells = (tag("th", text, scope="col", class_=kind or None) for text, kind in heads)
    return tag("thead", tag("tr", *cells))


def number(value: object) -> float:
    """A float; NaN for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
