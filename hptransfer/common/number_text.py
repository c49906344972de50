"""How numbers are written for people: powers of two, densities, shares, FLOPs, times."""

from __future__ import annotations

import math
from itertools import pairwise

__all__ = [
    "density_text",
    "duration",
    "exponent_text",
    "flops_text",
    "percent_text",
    "power_text",
    "quantity",
    "regret_text",
    "seconds_text",
    "sparsity_text",
    "value_text",
]

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
_SPANS = (("s", 1, 90.0), ("min", 60, 5400.0), ("h", 3600, 172_800.0), ("d", 86_400, math.inf))
"""A unit, its seconds, and the seconds below which it is used."""
_SUPERSCRIPT = str.maketrans("0123456789-−.", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻·")


def exponent_text(value: float, digits: int = 1) -> str:
    """The power of two that a value is: `−7` when whole, else to `digits` decimals; empty unless it is above 0."""
    if not math.isfinite(value) or value <= 0:
        return ""
    exponent = math.log2(value)
    whole = abs(exponent - round(exponent)) < 0.5 * 10.0 ** -(digits + 1)
    return f"{round(exponent) if whole else exponent:.{0 if whole else digits}f}".replace("-", "−")


def power_text(value: float) -> str:
    """`2⁻⁷`, or `2⁻⁶·³` between whole powers; empty for what is not positive and finite."""
    exponent = exponent_text(value)
    return f"2{exponent.translate(_SUPERSCRIPT)}" if exponent else ""


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


def regret_text(value: float, high: float, digits: int = 2) -> str:
    """A regret as a percentage; `≥ 3.6%` where nothing bounds it from above: the transferred value was not run."""
    bounded = not (math.isinf(high) and math.isfinite(value))
    return percent_text(value, digits) if bounded else f"≥ {percent_text(value, digits)}"


def value_text(value: float) -> str:
    """A plain number to three significant digits; `–` for what is not finite."""
    if not math.isfinite(value):
        return "–"
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e6):
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def flops_text(value: float) -> str:
    """FLOPs with their prefix: `3.2 PFLOP`."""
    return quantity(value, "FLOP") if math.isfinite(value) and value > 0 else "–"


def quantity(value: float, unit: str = "") -> str:
    """`1.5M`, `3.2 GB`: three digits and a prefix."""
    for prefix in _PREFIXES:
        if abs(value) < 1000 or prefix == _PREFIXES[-1]:
            break
        value /= 1000
    number = f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return f"{number}{' ' if unit else ''}{prefix}{unit}"


def seconds_text(value: float) -> str:
    """A sum of times as a person says it: `42 s`, `12 min`, `3.4 h`, `2.1 d`."""
    if not math.isfinite(value):
        return "–"
    unit, size = next((unit, size) for unit, size, below in _SPANS if value < below)
    return f"{value / size:.3g} {unit}"


def duration(seconds: float) -> str:
    """A time to wait, as a clock shows it: `42s`, `3m 05s`, `2h 07m`, `3d 04h`, `2y 190d`."""
    whole = max(0, round(seconds))
    units = [("y", 31_536_000), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
    for (unit, size), (minor, minor_size) in pairwise(units):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // minor_size:02d}{minor}"
    return f"{whole}s"
