"""Both renderers draw what a picture holds: its limits, its ticks, its marks and its words."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from fake_results import grid_frame
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hptransfer.analysis.results import Results, load_results, results_of
from hptransfer.report.draw import draw, empty, spread
from hptransfer.report.figures.chart import Bars, Chart, Map
from hptransfer.report.figures.pictures import pictures
from hptransfer.report.page.picture_markup import picture_markup
from hptransfer.report.series_look import SHADES

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(params=["made up", "deep", "quickstart", "own-best", "coordinate-check"])
def study(request: pytest.FixtureRequest, results: Results) -> Results:
    """A made-up study, one of two depths without a minimum in every cell, and stored ones."""
    if request.param == "made up":
        return results
    if request.param == "deep":
        frame = grid_frame(rules=("mup", "supar"), widths=(64, 128), octaves=(-9, -8, -7, -6))
        deeper = frame.assign(depth=4, trial_id=frame["trial_id"] + "d", loss=frame["loss"] - 0.01)
        return results_of(pd.concat([frame, deeper], ignore_index=True))
    return load_results(str(RESULTS / request.param))


def words(figure: Figure) -> str:
    """All that is written into a figure, save ticks."""
    inside = [t.get_text() for ax in figure.axes for t in ax.texts]
    titles = [text for ax in figure.axes for text in (ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel())]
    return " ".join(" ".join([*inside, *titles, *(t.get_text() for t in figure.texts)]).split())


def labels(axis: XAxis | YAxis) -> list[str]:
    """Texts of the ticks, also where panels that share an axis leave them out."""
    return axis.get_major_formatter().format_ticks(axis.get_majorticklocs())


def ticks(axis: XAxis | YAxis) -> list[tuple[float, str]]:
    places = [pytest.approx(place, abs=1e-4) for place in axis.get_majorticklocs()]
    return list(zip(places, labels(axis), strict=True))


def shown(axis: dict[str, object]) -> list[tuple[float, str]]:
    """The ticks of a page's axis that lie within it."""
    return [(at, text) for at, text in axis["ticks"] if axis["low"] <= at <= axis["high"]]


def marks(ax: Axes) -> dict[str, int]:
    lines = [line for line in ax.lines if line.get_label() in ("lost", "star")]
    dots = sum(len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection))
    lost = sum(len(line.get_xdata()) for line in lines if line.get_label() == "lost")
    return {"marks": dots, "lost": lost, "stars": sum(line.get_label() == "star" for line in lines)}


def marks_of(panel: dict[str, object]) -> dict[str, int]:
    lines = panel["lines"]
    return {
        "marks": sum(len(line["points"]) for line in lines if "bare" not in line),
        "lost": sum(len(line["lost"]) for line in lines),
        "stars": sum("star" in line for line in lines),
    }


def page_data(chart: Chart) -> dict[str, object]:
    """What the page's script is given."""
    return json.loads(re.search(r'type="application/json"[^>]*>(.*)</script>', picture_markup(chart), re.S)[1])


def test_a_chart_is_the_same_on_paper_and_in_the_page(study: Results) -> None:
    charts = [picture for picture in pictures(study) if isinstance(picture, Chart)]
    assert charts
    for chart in charts:
        page = page_data(chart)
        read = html.unescape(re.sub("<script.*?</script>", "", picture_markup(chart), flags=re.S))
        assert all(f">{words}<" in read for words in (chart.title, chart.lead, chart.note))
        for stem, part in chart.files().items():
            figure = draw(part)
            views = [data for data, view in zip(page["views"], chart.views, strict=True) if view.file == stem]
            panels = [panel for view in views for panel in view["panels"]]
            assert len(figure.axes) == len(panels)
            for ax, panel in zip(figure.axes, panels, strict=True):
                x, y = panel["x"], panel["y"]
                assert ax.get_xlim() == pytest.approx((x["low"], x["high"]), abs=1e-4)
                assert ax.get_ylim() == pytest.approx((y["low"], y["high"]), abs=1e-4)
                assert ticks(ax.xaxis) == shown(x)
                assert ticks(ax.yaxis) == shown(y)
                assert marks(ax) == marks_of(panel)
                assert ax.get_title(loc="left") == panel["title"]
                assert ax.get_xlabel() == x["label"]
            written = words(figure)
            assert page["note"] in written
            for view in views:
                wanted = [view["name"], view.get("dotted") or "", *(line["name"] for line in view["key"])]
                wanted += [panel["y"]["label"] for panel in view["panels"]]
                wanted += [line["name"] for p in view["panels"] for line in p["lines"] if view.get("direct")]
                assert [text for text in wanted if " ".join(text.split()) not in written] == []


def test_a_map_is_the_same_on_paper_and_in_the_page(study: Results) -> None:
    for picture in (p for p in pictures(study) if isinstance(p, Map)):
        page, figure = picture_markup(picture), draw(picture)
        tables = re.findall(r"<figcaption>(.*?)</figcaption><table.*?</table>", page, re.S)
        assert [ax.get_title(loc="left") for ax in figure.axes] == tables
        cells = re.findall(r'<td class="(\w+)( sure)?"[^>]*>([^<]+)</td>', page)
        texts = [t for ax in figure.axes for t in ax.texts]
        boxes = [p for ax in figure.axes for p in ax.patches if isinstance(p, Rectangle)]
        assert len(cells) == len(texts) == len(boxes) > 0
        for (shade, sure, text), drawn, box in zip(cells, texts, boxes, strict=True):
            assert drawn.get_text() == html.unescape(text)
            assert (drawn.get_fontweight() == "bold") == bool(sure)
            fill = "white" if shade == "none" else SHADES[int(shade[1:])]
            assert same_color(box.get_facecolor(), fill)
        rows, columns = (re.findall(f'<th scope="{kind}">(.*?)</th>', page) for kind in ("row", "col"))
        assert rows == [text for ax in figure.axes for text in labels(ax.yaxis)]
        assert columns == [text for ax in figure.axes for text in labels(ax.xaxis)]
        for text in (picture.note, picture.row_label, picture.column_label, *picture.scale):
            assert text in html.unescape(page)
            assert text in words(figure)


def test_bars_are_the_same_on_paper_and_in_the_page(study: Results) -> None:
    for picture in (p for p in pictures(study) if isinstance(p, Bars)):
        page, figure = picture_markup(picture), draw(picture)
        (ax,) = figure.axes
        drawn = [patch.get_width() for patch in ax.patches]
        whole, solid = drawn[: len(picture.bars)], drawn[len(picture.bars) :]
        wide = [float(w) / 100 for w in re.findall(r'class="dense" style="width:([\d.]+)%', page)]
        part = [float(w) / 100 for w in re.findall(r'class="nonzero" style="width:([\d.]+)%', page)]
        assert wide == pytest.approx([max(w / max(whole), 0.004) for w in whole], abs=1e-4)
        assert part == pytest.approx([s / w if w else 0 for s, w in zip(solid, whole, strict=True)], abs=1e-4)
        assert [t.get_text() for t in ax.get_yticklabels()] == [bar.name for bar in picture.bars]
        for text in (picture.note, *(bar.words for bar in picture.bars)):
            assert text in html.unescape(page)
            assert text in words(figure)


def test_lines_of_a_panel_with_names_beside_them_lie_a_little_apart(results: Results) -> None:
    """In the stability picture, 5 points each: marks of three series at one place do not hide each other."""
    stability = next(p for p in pictures(results, ["stability"]))
    ax = draw(stability).axes[0]
    dots = [c for c in ax.collections if isinstance(c, PathCollection)]
    at = [c.get_offset_transform().transform(c.get_offsets())[0, 0] for c in dots]
    apart = 5 / 72 * ax.figure.dpi
    assert [b - a for a, b in pairwise(at)] == pytest.approx([apart, apart])


def test_a_mark_without_a_bar_and_an_open_mark(results: Results) -> None:
    chart = next(p for p in pictures(results, ["lr"]))
    panel = chart.views[0].panels[0]
    first = replace(panel.lines[0].points[0], open=True, low=None, high=None)
    one = replace(panel, lines=(replace(panel.lines[0], points=(first,), lost=(), star=None),))
    (ax,) = draw(replace(chart, views=(replace(chart.views[0], panels=(one,)),))).axes
    (dots,) = ax.collections
    assert same_color(dots.get_facecolor()[0], "white")
    assert same_color(dots.get_edgecolor()[0], panel.lines[0].style.light)


def test_what_there_is_none_of_says_so() -> None:
    assert empty("Nothing yet.").axes[0].texts[0].get_text() == "Nothing yet."


def test_labels_move_apart_and_keep_their_order():
    assert spread([1.0, 5.0], 1.0, 0, 10) == [1.0, 5.0]
    moved = spread([5.0, 5.1, 4.9], 1.0, 0, 10)
    assert sorted(range(3), key=moved.__getitem__) == [2, 0, 1]
    assert moved[0] - moved[2] >= 1.0 - 1e-6
    assert moved[1] - moved[0] >= 1.0 - 1e-6
    assert all(0 <= m <= 10 + 1e-9 for m in spread([9.9, 9.95, 10.0], 1.0, 0, 10))
    assert spread([], 1.0, 0, 10) == []
