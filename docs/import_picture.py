"""The rooms of the package and what they import, as an SVG whose arrows all point down.

A room is a subpackage or a top-level module. A room's row is one above the highest room it imports, so the picture
exists only while no room imports, directly or not, what imports it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "hptransfer"
BOX, GAP, ROW, MARGIN = (118, 30), 14, 74, 24


def room_imports(package: Path) -> dict[str, set[str]]:
    """For every room the other rooms that it imports when it is loaded or run; imports for types alone do not count."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted(package.rglob("*.py")):
        relative = file.relative_to(package)
        if relative.name == "__init__.py" and len(relative.parts) == 1:
            continue
        here = _room(package, relative.with_suffix("").parts)
        found[here] |= {
            room for room in _imported(package, ast.parse(file.read_text(encoding="utf-8"))) if room != here
        }
    return dict(found)


def rows_of(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Rooms by height, lowest first. Raises ValueError naming the rooms of a circle."""
    heights: dict[str, int] = {}

    def height(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError("rooms import each other in a circle: " + " → ".join((*above[above.index(room) :], room)))
        if room not in heights:
            heights[room] = 1 + max((height(r, (*above, room)) for r in imports.get(room, ())), default=-1)
        return heights[room]

    for room in imports:
        height(room, ())
    rows: list[list[str]] = [[] for _ in range(max(heights.values()) + 1)]
    for room, at in sorted(heights.items()):
        rows[at].append(room)
    return rows


def below(imports: Mapping[str, set[str]], room: str) -> set[str]:
    """Everything a room imports, directly or through others."""
    found: set[str] = set()
    waiting = [room]
    while waiting:
        new = imports.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def essential(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The imports that are not implied by others: few enough arrows to be read. What lies below a room stays."""
    return {
        room: {other for other in direct if not any(other in below(imports, between) for between in direct - {other})}
        for room, direct in imports.items()
    }


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


def _room(package: Path, parts: tuple[str, ...]) -> str:
    return f"{parts[0]}/" if (package / parts[0]).is_dir() else parts[0]


def _imported(package: Path, tree: ast.Module) -> Iterator[str]:
    for node in _run_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            below = node.module.split(".")[1:]
            for alias in node.names:
                parts = (*below, alias.name)
                if below or (package / alias.name).is_dir() or (package / f"{alias.name}.py").exists():
                    yield _room(package, parts)


def _run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_nodes(child)
