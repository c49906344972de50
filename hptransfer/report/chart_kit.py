"""The parts that the page's charts are put together from: axes, lines, keys. See `charts` for their shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from hptransfer.common.number_text import power_text, sparsity_text
from hptransfer.report.canvas import thinned
from hptransfer.report.points import axis_text
from hptransfer.report.style import SeriesStyle, series_text

__all__ = [
    "LOSS",
    "Chart",
    "axis",
    "keys",
    "line",
    "octaves",
    "place",
    "places",
    "plain_axis",
    "short",
    "styled",
]

Chart = dict[str, Any]
LOSS = "held-out loss (nats a token)"


def axis(label: str, low: float, high: float, ticks: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """An axis between two places, with (place, text) ticks."""
    return {"label": label, "low": short(low), "high": short(high), "ticks": [[short(p), t] for p, t in ticks]}


def plain_axis(label: str, low: float, high: float, count: int = 6) -> dict[str, Any]:
    """A linear axis with round ticks."""
    places = [float(t) for t in MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= t <= high]
    step = places[1] - places[0] if len(places) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return axis(label, low, high, [(t, f"{t:.{digits}f}".replace("-", "−")) for t in places])


def octaves(label: str, low: float, high: float, pad: float = 0.4, most: int = 7) -> dict[str, Any]:
    """An axis between two exponents of two, ticked at whole ones."""
    whole = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    step = max(1, math.ceil(len(whole) / most))
    return axis(label, low - pad, high + pad, [(float(k), power_text(2.0**k)) for k in whole if k % step == 0])


def places(by: str, values: Sequence[float], *, as_sparsity: bool = False) -> dict[str, Any]:
    """An axis of densities (dense end left, as −log2), widths or depths (log2)."""
    unique = sorted(set(values), reverse=by == "density")
    text = sparsity_text if as_sparsity else (lambda v: axis_text(by, v))
    ticks = [(place(by, v), text(v)) for v in thinned(unique)]
    low, high = place(by, unique[0]), place(by, unique[-1])
    pad = 0.06 * max(high - low, 1.0)
    return axis("sparsity" if as_sparsity else by, low - pad, high + pad, ticks)


def place(by: str, value: float) -> float:
    """Where a density (as −log2), width or depth (as log2) lies."""
    return -math.log2(value) if by == "density" else math.log2(value)


def short(value: float) -> float | None:
    """Five decimals are below a pixel; JSON has no NaN."""
    return round(float(value), 5) if math.isfinite(value) else None


def line(name: str, light: str, dark: str, dash: Sequence[float] = (), marker: str = "o") -> dict[str, Any]:
    """A line without points yet."""
    return {"name": name, "light": light, "dark": dark, "dash": list(dash), "marker": marker, "points": [], "lost": []}


def styled(name: str, style: SeriesStyle) -> dict[str, Any]:
    """The line of a series."""
    return line(series_text(name), style.colour, style.dark, style.dash, style.marker)


def keys(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the key says of these lines."""
    return [{k: line[k] for k in ("name", "light", "dark", "dash", "marker")} for line in lines]
