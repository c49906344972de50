"""One look for every picture: colours, line styles and the way numbers are written.

Every distinction is carried three times, by colour, by lightness and by marker or dash, so that a picture survives
a black-and-white printer and every common colour blindness. The page reads the same palette as CSS variables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import matplotlib
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from hptransfer.series import series_name, split_series

__all__ = [
    "DIVERGED",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "SeriesStyle",
    "density_text",
    "exponent_text",
    "flops_text",
    "look",
    "order_series",
    "percent_text",
    "power_text",
    "seconds_text",
    "sequence",
    "series_styles",
    "series_text",
    "sparsity_text",
    "value_text",
]

INK, MUTED, GRID, DIVERGED = "#1b1f24", "#667080", "#e4e7eb", "#b3261e"

MARKERS = "osD^vPX<>h"
"""Markers of the lines of an axis, in order."""


@dataclass(frozen=True, slots=True)
class SeriesStyle:
    """How one series is drawn, here and in the page."""

    colour: str
    dark: str
    """The same hue for a dark page."""
    dash: tuple[float, ...]
    """Lengths of ink and gap in points; empty for a solid line."""
    marker: str
    """A matplotlib marker."""


# Lightness (CIE L*) falls from mup over sp to supar, so that the three stay apart in grey.
_RULES: Mapping[str, SeriesStyle] = {
    "sp": SeriesStyle("#c8553d", "#ef8a72", (5.0, 2.0), "s"),
    "mup": SeriesStyle("#d99a00", "#f0c04c", (1.5, 1.6), "^"),
    "supar": SeriesStyle("#15568f", "#6fb3f2", (), "o"),
    "completep": SeriesStyle("#4d4d4d", "#c9c9c9", (7.0, 1.5, 1.5, 1.5), "P"),
    "supar_init_only": SeriesStyle("#2e8b78", "#63cdb6", (4.0, 1.5, 1.0, 1.5), "v"),
    "supar_lr_only": SeriesStyle("#8e5ea8", "#c79be0", (3.0, 1.5), "D"),
}
_SPARE: tuple[SeriesStyle, ...] = (
    _RULES["supar_init_only"],
    _RULES["supar_lr_only"],
    SeriesStyle("#7a5c2e", "#cfa86b", (6.0, 2.0, 1.0, 2.0), "X"),
    SeriesStyle("#bb4f86", "#f092c0", (2.0, 1.0), "<"),
    SeriesStyle("#5b8c2a", "#9fd067", (8.0, 2.0), ">"),
    _RULES["completep"],
)
_TITLES = {"sp": "SP", "mup": "μP", "supar": "SμPar", "completep": "CompleteP", "umup": "u-μP"}
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


def series_styles(names: Sequence[str]) -> dict[str, SeriesStyle]:
    """A style for every series; a known rule always has the same, a variant is its rule's colour made lighter."""
    styles: dict[str, SeriesStyle] = {}
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
            style = SeriesStyle(
                _mix(style.colour, "#ffffff", 1 - 0.72**count),
                _mix(style.dark, "#000000", 1 - 0.8**count),
                _SPARE[(count - 1) % len(_SPARE)].dash,
                _SPARE[(count - 1) % len(_SPARE)].marker,
            )
        styles[name] = style
    return {name: styles[name] for name in names}


def sequence(kind: str, count: int, *, dark: bool = False) -> list[str]:
    """`count` colours in perceptual order for the lines of an axis ("density", "width"; any other looks as width)."""
    stops = _SEQUENCES.get(kind, _SEQUENCES["width"])[int(dark)]
    scale = LinearSegmentedColormap.from_list(kind, stops)
    places = [SINGLE_POINT] if count == 1 else [i / (count - 1) for i in range(count)]
    return [to_hex(scale(place)) for place in places]


def _mix(colour: str, other: str, share: float) -> str:
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True))
    return to_hex((red, green, blue))


@contextmanager
def look() -> Iterator[None]:
    """Matplotlib settings of every picture. Nothing global is changed once it ends; the output is reproducible."""
    settings: dict[str, Any] = {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 9,
        "axes.labelsize": 9,
        "axes.labelcolor": INK,
        "axes.edgecolor": "#9aa3ae",
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.7,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "lines.linewidth": 1.6,
        "lines.markersize": 4.5,
        "lines.dash_capstyle": "round",
        "figure.dpi": 100,
        "savefig.dpi": 160,
        "savefig.facecolor": "white",
        "svg.hashsalt": "hptransfer",
        "svg.fonttype": "path",
    }
    with matplotlib.rc_context(cast(Any, settings)):
        yield


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def exponent_text(value: float, digits: int = 1) -> str:
    """The power of two that a value is: `−7` when whole, else to `digits` decimals; empty unless it is above 0."""
    if not math.isfinite(value) or value <= 0:
        return ""
    exponent = math.log2(value)
    whole = abs(exponent - round(exponent)) < 0.5 * 10.0 ** -(digits + 1)
    return f"{round(exponent) if whole else exponent:.{0 if whole else digits}f}".replace("-", "−")


def power_text(value: float) -> str:
    """`2⁻⁷` for a power of two, else `2^−6.3`; empty for what is not positive and finite."""
    exponent = exponent_text(value)
    if not exponent:
        return ""
    return f"2^{exponent}" if "." in exponent else "2" + exponent.replace("−", "-").translate(_SUPERSCRIPT)


def density_text(value: float) -> str:
    """`1/16` where that is exact to a thousandth, else three digits."""
    if not math.isfinite(value) or value <= 0:
        return "–"
    inverse = 1 / value
    if abs(inverse - round(inverse)) < 1e-3 * inverse and round(inverse) <= 4096:
        return "1" if round(inverse) == 1 else f"1/{round(inverse)}"
    return f"{value:.3g}"


def sparsity_text(density: float) -> str:
    """The share of zeros of a density: `93.8%`."""
    share = 100 * (1 - density)
    return f"{share:.0f}%" if abs(share - round(share)) < 0.05 else f"{share:.1f}%"


def percent_text(value: float, digits: int = 2) -> str:
    """A relative number as a percentage, `0.31%`; `–` for NaN, `diverged` for infinity."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "diverged" if value > 0 else "–"
    share = 100 * value
    places = 0 if abs(share) >= 100 else 1 if abs(share) >= 10 else digits
    text = f"{share:.{places}f}%"
    return text[1:] if text.startswith("-") and float(text[1:-1]) == 0 else text.replace("-", "−")


def value_text(value: float, digits: int = 3) -> str:
    """A plain number to so many significant digits; `–` for what is not finite."""
    if not math.isfinite(value):
        return "–"
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e6):
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def flops_text(value: float) -> str:
    """FLOPs with their prefix: `3.2 PFLOP`."""
    if not math.isfinite(value) or value <= 0:
        return "–"
    for power, prefix in ((24, "Y"), (21, "Z"), (18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if value >= 10**power:
            return f"{value / 10**power:.3g} {prefix}FLOP"
    return f"{value:.3g} FLOP"


def seconds_text(value: float) -> str:
    """A duration as a person says it: `42 s`, `12 min`, `3.4 h`, `2.1 d`."""
    if not math.isfinite(value):
        return "–"
    if value < 90:
        return f"{value:.3g} s"
    if value < 5400:
        return f"{value / 60:.3g} min"
    if value < 172_800:
        return f"{value / 3600:.3g} h"
    return f"{value / 86_400:.3g} d"
