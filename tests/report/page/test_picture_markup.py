"""Pictures in the page. That they say what the drawn ones say is in `test_draw`."""

from __future__ import annotations

import re

from hptransfer.analysis.results import Results
from hptransfer.report.figures.chart import Bar, Bars, Grid, Map, Square
from hptransfer.report.figures.pictures import pictures
from hptransfer.report.page.picture_markup import bars_markup, picture_markup
from hptransfer.report.series_look import NEUTRAL


def test_a_chart_has_its_words_a_place_and_its_data(results: Results) -> None:
    chart = next(pictures(results, ["lr"]))
    text = picture_markup(chart)
    assert text.startswith('<div class="figure" id="figure-lr"><h3>Loss against learning rate</h3><p class="lead">')
    assert '<div data-chart="lr"></div>' in text
    assert 'id="data-lr"' in text


def test_of_a_map_one_square_is_reached_by_tab_and_the_others_by_arrow_keys() -> None:
    squares = Square("1.0%", 1, False, "tip"), Square("2.0%", 1, False, "tip")
    grid = Grid("SP", ("64",), ("1", "1/4", "1/8"), ((None, *squares),))
    text = picture_markup(Map("regret", "t", "l", "n", "width", "density", ("at most 1%", "above 1%"), (grid,)))
    assert re.findall(r'tabindex="(-?\d)"', text) == ["0", "-1"]
    assert "<td></td>" in text
    assert '<th>width ╲ density</th><th scope="col">1</th>' in text


def test_bars_are_drawn_on_one_scale_and_an_empty_one_is_still_seen() -> None:
    bars = (Bar("a", NEUTRAL, 200.0, 50.0, "words"), Bar("b", NEUTRAL, 0.0, 0.0, ""))
    text = bars_markup(Bars("cost", "t", "n", bars))
    assert re.findall(r'class="dense" style="width:([\d.]+)%', text) == ["100.00", "0.40"]
    assert re.findall(r'class="nonzero" style="width:([\d.]+)%', text) == ["25.00", "0.00"]
