"""How the lines of every picture look: colours, dashes and markers, the same on paper and in the page.

Every distinction is carried three times, by colour, by lightness and by marker or dash, so that a picture survives
a black-and-white printer and every common colour blindness. The page reads the same palette as CSS variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from hptransfer.study.series_name import series_name, split_series

__all__ = [
    "DIVERGED",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "NEUTRAL",
    "SHADES",
    "LineStyle",
    "axis_styles",
    "order_series",
    "sequence",
    "series_styles",
    "series_text",
]

INK, MUTED, GRID, DIVERGED = "#1b1f24", "#667080", "#e4e7eb", "#b3261e"

MARKERS = "osD^vPX<>h"
"""Markers of the lines of an axis, in order."""
SHADES = ("#eef3f0", "#fbe3bd", "#f6bd83", "#ea8a5a", "#c8483a", "#7c1430")
"""From nearly nothing to much, as `--h0` to `--h5` of the page's style sheet."""


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How one line is drawn, on paper and in the page."""

    light: str
    dark: str
    """The same hue for a dark page."""
    dash: tuple[float, ...] = ()
    """Lengths of ink and gap in points; empty for a solid line."""
    marker: str = "o"
    """A matplotlib marker."""

    def to_json(self) -> dict[str, Any]:
        """As the page's script takes it."""
        return {"light": self.light, "dark": self.dark, "dash": list(self.dash), "marker": self.marker}


NEUTRAL = LineStyle(MUTED, "#9aa4b2")
"""Of what belongs to no series."""

# Lightness (CIE L*) falls from mup over sp to supar, so that the three stay apart in grey.
_RULES: Mapping[str, LineStyle] = {
    "sp": LineStyle("#c8553d", "#ef8a72", (5.0, 2.0), "s"),
    "mup": LineStyle("#d99a00", "#f0c04c", (1.5, 1.6), "^"),
    "supar": LineStyle("#15568f", "#6fb3f2", (), "o"),
    "completep": LineStyle("#4d4d4d", "#c9c9c9", (7.0, 1.5, 1.5, 1.5), "P"),
    "supar_init_only": LineStyle("#2e8b78", "#63cdb6", (4.0, 1.5, 1.0, 1.5), "v"),
    "supar_lr_only": LineStyle("#8e5ea8", "#c79be0", (3.0, 1.5), "D"),
}
_SPARE: tuple[LineStyle, ...] = (
    _RULES["supar_init_only"],
    _RULES["supar_lr_only"],
    LineStyle("#7a5c2e", "#cfa86b", (6.0, 2.0, 1.0, 2.0), "X"),
    LineStyle("#bb4f86", "#f092c0", (2.0, 1.0), "<"),
    LineStyle("#5b8c2a", "#9fd067", (8.0, 2.0), ">"),
    _RULES["completep"],
)
_TITLES = {
    "sp": "SP",
    "mup": "μP",
    "supar": "SμPar",
    "completep": "CompleteP",
    "completep_half": "CompleteP ½",
    "umup": "u-μP",
}
_ORDER = ("sp", "mup", "supar")
_SEQUENCES = {
    # Light to dark on paper, dark to light on a dark page: the far end of the axis stands out on both.
    "density": (
        ("#e2b13c", "#7fb069", "#2a9d8f", "#2f6f9f", "#2b2d6e"),
        ("#8a6d1f", "#5f8f4e", "#35b3a2", "#7cc3f0", "#e3e5ff"),
    ),
    "width": (
        ("#e6a57e", "#d9705a", "#b0415e", "#742a63", "#351a4d"),
        ("#7d4b33", "#b85c48", "#e07a8f", "#e6a6d8", "#f7e6ff"),
    ),
}
SINGLE_POINT = 0.75


def order_series(names: Sequence[str]) -> list[str]:
    """Series in the order of the paper (sp, mup, supar), then by name; variants follow their rule."""

    def key(name: str) -> tuple[int, str]:
        rule, _ = split_series(name)
        return (_ORDER.index(rule) if rule in _ORDER else len(_ORDER), name)

    return sorted(dict.fromkeys(names), key=key)


def series_text(name: str) -> str:
    """A series as people write it: `SμPar` for `supar`, with its variant; an unknown rule keeps its own name."""
    rule, variant = split_series(name)
    return series_name(_TITLES.get(rule, rule), variant)


def series_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """A style for every series; a known rule always has the same, a variant is its rule's colour made lighter."""
    styles: dict[str, LineStyle] = {}
    spare = 0
    variants: dict[str, int] = {}
    for name in order_series(names):
        rule, variant = split_series(name)
        if rule not in styles and rule not in _RULES:
            styles[rule] = _SPARE[spare % len(_SPARE)]
            spare += 1
        style = _RULES.get(rule) or styles[rule]
        if variant:
            count = variants[rule] = variants.get(rule, 0) + 1
            told = _SPARE[(count - 1) % len(_SPARE)]
            light, dark = _mix(style.light, "#ffffff", 1 - 0.72**count), _mix(style.dark, "#000000", 1 - 0.8**count)
            style = LineStyle(light, dark, told.dash, told.marker)
        styles[name] = style
    return {name: styles[name] for name in names}


def sequence(kind: str, count: int, *, dark: bool = False) -> list[str]:
    """`count` colours in perceptual order for the lines of an axis ("density", "width"; any other looks as width)."""
    stops = _SEQUENCES.get(kind, _SEQUENCES["width"])[int(dark)]
    scale = LinearSegmentedColormap.from_list(kind, stops)
    places = [SINGLE_POINT] if count == 1 else [i / (count - 1) for i in range(count)]
    return [to_hex(scale(place)) for place in places]


def axis_styles(kind: str, count: int) -> list[LineStyle]:
    """Styles of `count` lines that are values of an axis, in its order."""
    both = zip(sequence(kind, count), sequence(kind, count, dark=True), strict=True)
    return [LineStyle(light, dark, (), MARKERS[i % len(MARKERS)]) for i, (light, dark) in enumerate(both)]


def _mix(colour: str, other: str, share: float) -> str:
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True))
    return to_hex((red, green, blue))
