"""Every cell in a row, with the raw values that sorting and filtering read."""

from __future__ import annotations

import re

import pandas as pd
from fake_results import BASE, grid_frame

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.page.cells_table import cells_section


def columns(text: str) -> list[str]:
    return re.findall(r'<button type="button">(.*?)</button>', text)


def test_a_row_per_cell_carries_what_is_sorted_and_filtered_by(results: Results) -> None:
    text = cells_section(results)
    rows = re.findall(r"<tr data-series=.*?</tr>", text)
    assert len(rows) == 27
    first = rows[0]
    assert first.startswith('<tr data-series="sp" data-width="64" data-density="1" data-state=')
    raw = re.findall(r'data-v="(.*?)"', first)
    cell = results.judgement.cells.query("series == 'sp' and width == 64 and density == 1").iloc[0]
    assert raw[:3] == ["sp", "64", "1.0"]
    assert float(raw[3]) == cell["regret"]
    assert float(raw[6]) == cell["min_loss"]
    assert columns(text)[3:6] == ["regret", "state", "best LR"]


def test_a_value_that_is_not_known_sorts_last_and_one_that_diverged_as_infinite() -> None:
    """With one LR no minimum is known, and at the larger width every seed diverges there."""
    frame = grid_frame(rules=("sp",), widths=(64, 128), octaves=(-7,), densities=(1,))
    frame.loc[frame["width"] == 128, ["status", "loss"]] = ["diverged", float("nan")]
    text = cells_section(results_of(frame, base=BASE))
    unknown, lost = (re.findall(r'data-v="(.*?)"', row) for row in re.findall(r"<tr data-series=.*?</tr>", text))
    assert (unknown[5], lost[7]) == ("", "1e999")
    assert float(unknown[7]) < 3


def test_depths_have_a_column_and_a_filter_only_where_they_differ(results: Results) -> None:
    assert "depth" not in columns(cells_section(results))
    frame = grid_frame(widths=(64,))
    deep = pd.concat([frame, frame.assign(depth=4, trial_id=frame["trial_id"] + "d")], ignore_index=True)
    text = cells_section(results_of(deep, base=BASE))
    assert "depth" in columns(text)
    assert re.search(r'id="filter-depth".*?<option value="2">2</option><option value="4">4</option>', text)


def test_without_a_verdict_there_is_no_table() -> None:
    assert cells_section(results_of(pd.DataFrame())) is None
