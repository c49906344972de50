"""The verdict on the page."""

from __future__ import annotations

import re
from dataclasses import replace

from hptransfer.analysis.results import Results
from hptransfer.report.page.verdict import verdict_section


def test_a_card_per_series_with_a_badge_per_axis(results: Results) -> None:
    text = verdict_section(results)
    assert text.count('class="card c"') == 3
    ordered = sorted(results.judgement.verdicts, key=lambda v: ["sp", "mup", "supar"].index(v.series))
    assert re.findall(r'class="badge (\w+)"', text) == [v.verdict.lower() for v in ordered]


def headline(results: Results, sentence: str) -> tuple[str, str]:
    """What of a sentence is large, and what is small."""
    text = verdict_section(replace(results, judgement=None, no_judgement=sentence))
    large, small = re.search(r'id="sentence">(.*?)<span class="rest"> (.*?)</span>', text, re.S).groups()
    return large, small


def test_the_first_clause_is_large_and_the_rest_small(results: Results) -> None:
    large, small = headline(results, "supar is STABLE (costs 0.1%; so it is); sp is DRIFT over width (why)")
    assert large == "No verdict yet: supar is STABLE (costs 0.1%; so it is)."
    assert small == "sp is DRIFT over width (why)."


def test_of_a_long_first_clause_the_parenthesis_is_small(results: Results) -> None:
    large, small = headline(results, f"supar is STABLE (costs {'very ' * 20}little); sp is DRIFT")
    assert large == "No verdict yet: supar is STABLE."
    assert small.startswith("(costs very")


def test_without_a_verdict_it_says_why(results: Results) -> None:
    assert "No verdict yet: nothing ran." in verdict_section(
        replace(results, judgement=None, no_judgement="nothing ran")
    )
