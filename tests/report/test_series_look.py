"""Numbers are written one way, and colours stay apart in grey."""

from __future__ import annotations

import math
import re
from importlib.resources import files
from itertools import pairwise

import pytest
from matplotlib.colors import to_rgb

from hptransfer.common.number_text import (
    density_text,
    flops_text,
    percent_text,
    power_text,
    seconds_text,
    sparsity_text,
    value_text,
)
from hptransfer.report.series_look import SHADES, axis_styles, order_series, sequence, series_styles, series_text


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (power_text, 2.0**-7, "2⁻⁷"),
        (power_text, 1.0, "2⁰"),
        (power_text, 0.0117, "2⁻⁶·⁴"),
        (power_text, 0.0, ""),
        (power_text, math.nan, ""),
        (density_text, 1.0, "1"),
        (density_text, 1 / 16, "1/16"),
        (density_text, 0.3, "0.3"),
        (sparsity_text, 1 / 16, "93.8%"),
        (sparsity_text, 0.25, "75%"),
        (percent_text, 0.00312, "0.31%"),
        (percent_text, 0.123, "12.3%"),
        (percent_text, -0.00001, "0.00%"),
        (percent_text, math.inf, "diverged"),
        (percent_text, math.nan, "–"),
        (value_text, 0.0078125, "0.00781"),
        (value_text, 3.2, "3.2"),
        (value_text, 1.2e-5, "1.2×10⁻⁵"),
        (flops_text, 3.1e13, "31 TFLOP"),
        (flops_text, 0.0, "–"),
        (seconds_text, 42.0, "42 s"),
        (seconds_text, 700.0, "11.7 min"),
    ],
)
def test_numbers_read_as_people_write_them(write, value, text):
    assert write(value) == text


def test_series_come_in_the_order_of_the_paper_with_variants_beside_their_rule():
    names = ["zebra", "supar · long", "supar", "mup", "sp"]
    assert order_series(names) == ["sp", "mup", "supar", "supar · long", "zebra"]
    assert series_text("supar · long") == "SμPar · long"
    assert series_text("zebra") == "zebra"


def lightness(colour: str) -> float:
    """Relative luminance (ITU-R BT.709), what a black-and-white printer keeps."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_three_rules_differ_in_grey_in_dash_and_in_marker():
    styles = series_styles(["sp", "mup", "supar"])
    grey = sorted(lightness(s.light) for s in styles.values())
    assert min(b / a for a, b in pairwise(grey)) > 1.6
    assert len({s.dash for s in styles.values()}) == len({s.marker for s in styles.values()}) == 3


def test_a_rule_keeps_its_colour_whatever_else_is_shown():
    assert series_styles(["supar"])["supar"] == series_styles(["a", "b", "sp", "supar"])["supar"]


@pytest.mark.parametrize("kind", ["density", "width"])
def test_a_sequence_gets_darker_step_by_step_on_paper_and_lighter_on_a_dark_page(kind):
    paper = [lightness(c) for c in sequence(kind, 7)]
    night = [lightness(c) for c in sequence(kind, 7, dark=True)]
    assert paper == sorted(paper, reverse=True)
    assert night == sorted(night)


def test_the_lines_of_an_axis_have_markers_of_their_own():
    assert [style.marker for style in axis_styles("width", 3)] == ["o", "s", "D"]
    assert axis_styles("density", 3)[0].light == sequence("density", 3)[0]


def test_the_shades_are_those_of_the_style_sheet():
    css = files("hptransfer.report.page").joinpath("page.css").read_text(encoding="utf-8")
    assert re.findall(r"--h\d: (#\w{6});", css)[:6] == list(SHADES)
