"""Pictures in the page: a Chart as data that the page's script draws, a Map as tables, Bars as boxes."""

from __future__ import annotations

from hptransfer.report.figures.chart import Bars, Chart, Grid, Map, Picture, Square
from hptransfer.report.page.elements import style_of
from hptransfer.report.page.markup import Markup, data_block, join, tag

__all__ = ["bars_markup", "picture_markup"]


def picture_markup(picture: Picture) -> Markup:
    """A picture with its title, what to see in it, and what its marks mean."""
    if isinstance(picture, Bars):
        return bars_markup(picture)
    if isinstance(picture, Map):
        scale = [tag("li", tag("i", style=f"background:var(--h{i})"), text) for i, text in enumerate(picture.scale)]
        maps = tag("div", *(_grid(grid, picture) for grid in picture.grids), class_="heats")
        drawn, place = join([maps, tag("ul", *scale, class_="scale")]), picture.id
    else:
        drawn, place = tag("div", data_chart=picture.id), f"figure-{picture.id}"
    return tag(
        "div",
        tag("h3", picture.title),
        tag("p", picture.lead, class_="lead"),
        drawn,
        tag("p", picture.note, class_="note"),
        data_block(picture.id, picture.to_json()) if isinstance(picture, Chart) else None,
        class_="figure",
        id=place,
    )


def _grid(grid: Grid, picture: Map) -> Markup:
    """Readable without script, with values under the pointer and the arrow keys."""
    first = next(square for row in grid.squares for square in row if square)
    head = [tag("th", f"{picture.row_label} ╲ {picture.column_label}")]
    head += [tag("th", text, scope="col") for text in grid.columns]
    body = [
        tag("tr", tag("th", text, scope="row"), *(_square(square, square is first) for square in row))
        for text, row in zip(grid.rows, grid.squares, strict=True)
    ]
    label = f"{picture.id.capitalize()}, {grid.title}"
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="heat", aria_label=label)
    return tag("figure", tag("figcaption", grid.title), table)


def _square(square: Square | None, is_first: bool) -> Markup:
    if square is None:
        return tag("td")
    shade = "none" if square.shade is None else f"h{square.shade}"
    look = shade + (" sure" if square.bold else "")
    return tag("td", square.text, class_=look, data_tip=square.tip, tabindex=0 if is_first else -1)


def bars_markup(picture: Bars) -> Markup:
    """Bars with their names and words, and what their parts mean."""
    top = max(bar.whole for bar in picture.bars) or 1.0
    rows = []
    for bar in picture.bars:
        share = min(1.0, bar.part / bar.whole) if bar.whole > 0 else 0.0
        solid = tag("span", class_="nonzero", style=f"width:{100 * share:.2f}%")
        whole = tag("span", solid, class_="dense", style=f"width:{max(100 * bar.whole / top, 0.4):.2f}%")
        words = tag("span", bar.words, class_="words")
        rows.append(tag("div", tag("span", bar.name), whole, words, class_="cost c", style=style_of(bar.style)))
    return join([tag("div", *rows, class_="costs"), tag("p", picture.note, class_="note")])
