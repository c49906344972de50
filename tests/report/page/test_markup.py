"""HTML is written safely: text is escaped unless it is markup already."""

from __future__ import annotations

import json
import re

import pytest

from hptransfer.report.page.markup import Markup, data_block, join, power, tag, text


@pytest.mark.parametrize(
    ("given", "written"),
    [("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#x27;"), (None, ""), (1.5, "1.5"), (Markup("<b>"), "<b>")],
)
def test_text(given: object, written: str) -> None:
    assert text(given) == written


def test_a_tag_escapes_its_content_and_its_attributes() -> None:
    made = tag("a", "x<y", tag("b", "z"), class_="k", data_tip='"', hidden=True, title=None, open=False)
    assert made == '<a class="k" data-tip="&quot;" hidden>x&lt;y<b>z</b></a>'
    assert join(["a", "<"], ", ") == "a, &lt;"


def test_powers_have_a_raised_exponent() -> None:
    assert power(2.0**-7) == "2<sup>−7</sup>"
    assert power(0.0) == "–"


def test_a_data_block_cannot_be_ended_by_what_it_holds() -> None:
    block = data_block("lr", {"tip": "</script><b>&\u2028"})
    body = re.fullmatch(r'<script type="application/json" id="data-lr">(.*)</script>', block, re.S)[1]
    assert not set("<>&\u2028") & set(body)
    assert json.loads(body) == {"tip": "</script><b>&\u2028"}
    with pytest.raises(ValueError, match="JSON"):
        data_block("lr", float("nan"))
