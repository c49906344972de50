"""What a picture is before it is drawn: its limits, ticks, lines, marks and words.

Each picture is decided once, in its own file of this folder; `report.draw` draws it on paper and `report.page` in the
page, and neither decides anything. The page's script takes a chart as the JSON that `Chart.to_json` gives:

    {id, pick, title, lead, note, views: [{name, key, direct, dotted, panels: [panel]}]}
    panel: {title, x: axis, y: axis, lines: [line], rules: [{x}|{y}]}
    axis: {label, low, high, ticks: [[place, text]]}
    line: {name, light, dark, dash, marker, points: [[x, y, low, high, open, tip]], lost: [[x, tip]], star: [x, y, tip]}

Places on an axis are already logarithms where the axis is logarithmic. `tip` is what pointing at a mark says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hptransfer.report.series_look import LineStyle

__all__ = ["Axis", "Bar", "Bars", "Chart", "Grid", "Line", "Lost", "Map", "Panel", "Picture", "Point", "Square", "View"]

Drawn = Literal["joined", "thin", "dots", "steps", "curve"]
_FLAGS: Mapping[Drawn, tuple[str, ...]] = {
    "joined": (),
    "thin": ("thin",),
    "dots": ("dots",),
    "steps": ("steps", "bare"),
    "curve": ("bare",),
}


def _short(value: float | None) -> float | None:
    """Five decimals are below a pixel."""
    return None if value is None else round(float(value), 5)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high`, with (place, text) ticks."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the page's script takes it."""
        ticks = [[_short(place), text] for place, text in self.ticks]
        return {"label": self.label, "low": _short(self.low), "high": _short(self.high), "ticks": ticks}


@dataclass(frozen=True, slots=True)
class Point:
    """A mark, with a bar from `low` to `high` where they are known; `open` is drawn hollow."""

    x: float
    y: float
    tip: str
    low: float | None = None
    high: float | None = None
    open: bool = False

    def to_json(self) -> list[Any]:
        """As the page's script takes it."""
        return [*map(_short, (self.x, self.y, self.low, self.high)), int(self.open), self.tip]


@dataclass(frozen=True, slots=True)
class Lost:
    """Where something diverged: a cross at the panel's upper edge."""

    x: float
    tip: str


@dataclass(frozen=True, slots=True)
class Line:
    """Points that belong together. `drawn`: with marks, joined or not, or without marks as steps or as a curve."""

    name: str
    style: LineStyle
    points: tuple[Point, ...] = ()
    lost: tuple[Lost, ...] = ()
    star: Point | None = None
    drawn: Drawn = "joined"

    @property
    def bare(self) -> bool:
        """Whether it has no marks."""
        return "bare" in _FLAGS[self.drawn]

    def _named(self) -> dict[str, Any]:
        return {"name": self.name, **self.style.to_json()}

    def key_json(self) -> dict[str, Any]:
        """What the page's key says of it."""
        return self._named() | ({"dots": 1} if self.drawn == "dots" else {})

    def to_json(self) -> dict[str, Any]:
        """As the page's script takes it."""
        points = [point.to_json() for point in self.points]
        lost = [[_short(cross.x), cross.tip] for cross in self.lost]
        star = {"star": [_short(self.star.x), _short(self.star.y), self.star.tip]} if self.star else {}
        return {**self._named(), "points": points, "lost": lost, **dict.fromkeys(_FLAGS[self.drawn], 1), **star}


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines in one frame, with dotted lines at some places of an axis."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    at_x: tuple[float, ...] = ()
    at_y: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the page's script takes it."""
        rules = [{"x": _short(x)} for x in self.at_x] + [{"y": _short(y)} for y in self.at_y]
        lines = [line.to_json() for line in self.lines]
        return {"title": self.title, "x": self.x.to_json(), "y": self.y.to_json(), "lines": lines, "rules": rules}


@dataclass(frozen=True, slots=True)
class View:
    """Panels that are shown together."""

    name: str
    panels: tuple[Panel, ...]
    key: tuple[Line, ...] = ()
    """The lines that the key names, from above."""
    key_title: str = ""
    """What the names in the key are values of."""
    direct: bool = False
    """Whether the lines' names stand beside them."""
    dotted: str | None = None
    """What the dotted lines are; None where there can be none."""
    file: str = ""
    """The stem of the file it is drawn into, one row for each view of that stem; empty: it is in the page alone."""

    def to_json(self) -> dict[str, Any]:
        """As the page's script takes it."""
        told = ({"direct": 1} if self.direct else {}) | ({} if self.dotted is None else {"dotted": self.dotted})
        key, panels = [line.key_json() for line in self.key], [panel.to_json() for panel in self.panels]
        return {"name": self.name, "key": key, **told, "panels": panels}


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over an axis, in one or more views; `pick` is the word before the list of views."""

    id: str
    title: str
    lead: str
    note: str
    views: tuple[View, ...]
    pick: str = ""

    def files(self) -> dict[str, Chart]:
        """What is drawn into files, by their stems."""
        stems = dict.fromkeys(view.file for view in self.views if view.file)
        return {stem: replace(self, views=tuple(v for v in self.views if v.file == stem)) for stem in stems}

    def to_json(self) -> dict[str, Any]:
        """As the page's script takes it."""
        pick = {"pick": self.pick} if self.pick else {}
        words = {"id": self.id, **pick, "title": self.title, "lead": self.lead, "note": self.note}
        return {**words, "views": [view.to_json() for view in self.views]}


@dataclass(frozen=True, slots=True)
class Square:
    """One cell of a map: its text, how strong its colour is (an index of `SHADES`; None: no colour), what it says."""

    text: str
    shade: int | None
    bold: bool
    tip: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Squares in rows and columns; None where there is none."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    squares: tuple[tuple[Square | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Map:
    """Numbers over two axes; `scale` says what the shades mean."""

    id: str
    title: str
    lead: str
    note: str
    row_label: str
    column_label: str
    scale: tuple[str, ...]
    grids: tuple[Grid, ...]

    def files(self) -> dict[str, Map]:
        """What is drawn into files, by their stems."""
        return {self.id: self}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of length `whole`, of which `part` is solid, with words beside it."""

    name: str
    style: LineStyle
    whole: float
    part: float
    words: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars under each other, on one scale."""

    id: str
    title: str
    note: str
    bars: tuple[Bar, ...]

    def files(self) -> dict[str, Bars]:
        """What is drawn into files, by their stems."""
        return {self.id: self}


Picture = Chart | Map | Bars
