"""The coordinate check: a view per part, level lines where a rule passes."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from fake_results import check_frame

from hptransfer.analysis.results import Results
from hptransfer.report.figures.check import check


def test_a_view_per_part_and_a_panel_per_rule_with_level_lines_for_supar(results: Results) -> None:
    chart = check(results)
    names = ["blocks.*.attention against density", "blocks.*.ffn against density", "(model) against density"]
    assert [view.name for view in chart.views] == names
    sp, _, supar = chart.views[0].panels
    assert [panel.title for panel in chart.views[0].panels] == ["SP", "μP", "SμPar"]
    heights = [point.y for point in supar.lines[0].points]
    assert heights == pytest.approx([heights[0]] * 5, abs=1e-9)
    fallen = sp.lines[0].points[0].y - sp.lines[0].points[-1].y
    assert fallen == pytest.approx(4 * 0.7)  # 16 times sparser at a slope of 0.7


def test_at_most_six_steps_always_the_first_and_the_last(results: Results) -> None:
    assert [line.name for line in check(results).views[0].key] == [f"step {s}" for s in (10, 8, 6, 4, 2, 0)]


def test_three_parts_share_a_file_and_the_rest_is_in_the_page_alone(results: Results) -> None:
    frame = check_frame()
    more = frame.assign(module=frame["module"] + ".inner")
    chart = check(replace(results, check=pd.concat([frame, more])))
    assert [view.file for view in chart.views] == ["check"] * 3 + [""] * 3


def test_one_rule_has_a_panel_per_part(results: Results) -> None:
    (view,) = check(replace(results, check=check_frame(rules=("supar",)))).views
    assert view.name == "SμPar against density"
    assert [panel.title for panel in view.panels] == ["blocks.*.attention", "blocks.*.ffn", "(model)"]


def test_a_second_axis_has_a_file_of_its_own(results: Results) -> None:
    frame = check_frame()
    wide = frame[frame["density"] == 1].assign(width=256)
    assert list(check(replace(results, check=pd.concat([frame, wide]))).files()) == ["check", "check-width"]


def test_what_is_no_check_is_no_picture(results: Results) -> None:
    assert check(replace(results, check=None)) is None
    assert check(replace(results, check=pd.DataFrame({"rule": ["sp"]}))) is None
