"""What a study cost and what it is worth, in words."""

from __future__ import annotations

import re
from dataclasses import replace

from fake_results import BASE, grid_frame

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.page import render_report
from hptransfer.report.page.cost import cost_section


def test_what_transfer_saves_and_what_a_rule_gains_is_said(results: Results) -> None:
    text = re.sub(r"<[^>]+>", " ", cost_section(results))
    assert re.search(r"the same 32 trials at the costliest cell would take .* transfer saves \d+\.\d% of it", text)
    assert re.search(r"SP would need [\d.]+ times the compute", text)


def test_a_trainer_that_knows_no_cost_has_a_page_without_flops(results: Results) -> None:
    """What it came to is then null in base.json, and no FLOPs stand in the rows."""
    unknown = {"fraction_of_target": None, "target_flops": None}
    base = replace(BASE, flops=None, further={**BASE.further, **unknown})
    for flops in (0.0, None):
        frame = results.frame.assign(flops_dense=flops, flops_nonzero=flops)
        page = render_report(replace(results, frame=frame, base=base))
        text = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL))
        assert "transfer saves" not in text
        assert "found in 32 trials." in text
        assert not re.search(r"\b(nan|inf|None|null)\b", text)


def test_the_page_says_where_a_bracket_search_spent_its_trials():
    cell = {
        "series": "supar",
        "width": 64,
        "density": 0.25,
        "trials": 9,
        "probes": 5,
        "fell_back": True,
        "why": "two basins",
    }
    search = {"trials": 9, "fixed_grid": 36, "cells": [cell]}
    page = render_report(results_of(grid_frame(widths=(64,), densities=(1, 0.25)), search=search))
    plain = re.sub(r"<[^>]+>", " ", page)
    assert "The bracket search took 9 trials, where the fixed grid has 36" in plain
    assert re.search(r"SμPar\s+64\s+1/4\s+9\s+5\s+fixed axis: two basins", plain)
