"""A chart as the page's script takes it."""

from __future__ import annotations

from hptransfer.report.figures.chart import Axis, Chart, Line, Lost, Panel, Point, View
from hptransfer.report.series_look import LineStyle

STYLE = LineStyle("#000000", "#ffffff", (5.0, 2.0), "s")
AXIS = Axis("width", 5.5, 8.123456789, ((6.0, "64"),))


def test_a_line_rounds_its_places_and_says_only_what_it_has() -> None:
    mark = Point(1.23456789, 2.0, "tip", 1.5, 2.5, open=True)
    plain = Line("SP", STYLE, (mark,), (Lost(3.0, "gone"),), star=Point(2.0, 1.0, "best"))
    assert plain.to_json() == {
        "name": "SP",
        "light": "#000000",
        "dark": "#ffffff",
        "dash": [5.0, 2.0],
        "marker": "s",
        "points": [[1.23457, 2.0, 1.5, 2.5, 1, "tip"]],
        "lost": [[3.0, "gone"]],
        "star": [2.0, 1.0, "best"],
    }
    assert Line("best", STYLE, drawn="steps").to_json().keys() >= {"steps", "bare"}
    assert Line("trial", STYLE, drawn="dots").to_json()["dots"] == 1
    assert not Line("trial", STYLE, drawn="dots").bare
    assert [Line("trial", STYLE, drawn=drawn).key_json().get("dots") for drawn in ("dots", "joined")] == [1, None]


def test_a_panel_has_its_axes_and_its_dotted_lines() -> None:
    panel = Panel("against width", AXIS, AXIS, (), at_x=(6.5,), at_y=(7.0,)).to_json()
    assert panel["x"] == {"label": "width", "low": 5.5, "high": 8.12346, "ticks": [[6.0, "64"]]}
    assert panel["rules"] == [{"x": 6.5}, {"y": 7.0}]


def test_views_of_one_file_are_drawn_together_and_those_without_are_in_the_page_alone() -> None:
    views = (View("a", (), file="check"), View("b", (), dotted="chosen"), View("c", (), file="check", direct=True))
    chart = Chart("check", "Title", "lead", "note", views)
    assert [view.name for view in chart.files()["check"].views] == ["a", "c"]
    assert chart.to_json()["views"] == [
        {"name": "a", "key": [], "panels": []},
        {"name": "b", "key": [], "dotted": "chosen", "panels": []},
        {"name": "c", "key": [], "direct": 1, "panels": []},
    ]
    assert "pick" not in chart.to_json()
