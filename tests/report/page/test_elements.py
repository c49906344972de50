"""What several sections share."""

from __future__ import annotations

import html
import json
import math
import re

import pytest

from hptransfer.report.page.elements import badge, number, sample, style_of, table
from hptransfer.report.series_look import series_styles


def test_a_badge_has_a_sign_a_word_and_a_class() -> None:
    assert badge("STABLE") == '<span class="badge stable">✓ STABLE</span>'
    assert badge("odd") == '<span class="badge other">odd</span>'


def test_a_sample_holds_the_look_of_its_series() -> None:
    given = json.loads(html.unescape(re.search(r'data-sample="(.*?)"', sample("sp", ["sp", "supar"]))[1]))
    style = series_styles(["sp", "supar"])["sp"]
    assert given == {"light": style.light, "dark": style.dark, "dash": [5.0, 2.0], "marker": "s"}
    assert style_of(style) == f"--l:{style.light};--d:{style.dark}"


def test_a_table_has_the_class_of_its_heads_in_every_column() -> None:
    made = table([("rule", ""), ("trials", "num")], [("sp", "3")])
    assert '<th scope="col">rule</th><th scope="col" class="num">trials</th>' in made
    assert '<tr><td>sp</td><td class="num">3</td></tr>' in made


@pytest.mark.parametrize(
    ("given", "value"), [(3, 3.0), (0.5, 0.5), (True, math.nan), ("3", math.nan), (None, math.nan)]
)
def test_numbers(given: object, value: float) -> None:
    assert number(given) == pytest.approx(value, nan_ok=True)
