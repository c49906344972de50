"""The rooms of the package and what they import, as an SVG whose arrows all point down.

A room's row is one above the highest room it imports, so the picture exists only while no room imports, directly or
not, what imports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from import_graph import essential, rows_of

BOX, GAP, ROW, MARGIN = (118, 30), 14, 74, 24


def picture(imports: Mapping[str, set[str]]) -> str:
    """The SVG text; an arrow that others imply is left out."""
    rows = rows_of(imports)
    widest = max(len(row) for row in rows)
    width = 2 * MARGIN + widest * BOX[0] + (widest - 1) * GAP
    height = 2 * MARGIN + (len(rows) - 1) * ROW + BOX[1]
    place = dict(_places(rows, width, height))
    drawn = essential(imports)
    lines = [
        f'<path d="M{x0:g} {y0 + BOX[1]:g} C{x0:g} {y0 + BOX[1] + 30:g} {x1:g} {y1 - 30:g} {x1:g} {y1:g}"/>'
        for room in sorted(imports)
        for other in sorted(drawn[room])
        for (x0, y0), (x1, y1) in [(place[room], place[other])]
    ]
    boxes = [
        f'<rect x="{x - BOX[0] / 2:g}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6"/>'
        f'<text x="{x:g}" y="{y + 20:g}">{room}</text>'
        for room, (x, y) in sorted(place.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="13">'
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#8a94a6" stroke="none"/></marker></defs>'
        '<rect width="100%" height="100%" fill="#fff"/>'
        f'<g fill="none" stroke="#8a94a6" stroke-opacity=".55" marker-end="url(#tip)">{"".join(lines)}</g>'
        '<g fill="#eef1f7" stroke="#3b4a6b">'
        + "".join(boxes).replace("<text", '<text fill="#1b2438" stroke="none" text-anchor="middle"')
        + "</g></svg>\n"
    )


def _places(rows: list[list[str]], width: float, height: float) -> Iterator[tuple[str, tuple[float, float]]]:
    for level, row in enumerate(rows):
        span = len(row) * BOX[0] + (len(row) - 1) * GAP
        y = height - MARGIN - BOX[1] - level * ROW
        for k, room in enumerate(row):
            yield room, ((width - span) / 2 + k * (BOX[0] + GAP) + BOX[0] / 2, y)
