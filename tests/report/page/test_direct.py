"""Searches at the targets on the page."""

from __future__ import annotations

import re
from dataclasses import replace

from fake_results import grid_frame

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.page import render_report
from hptransfer.report.page.direct import direct_section
from hptransfer.study.direct import DirectCell


def with_direct(results: Results) -> Results:
    """Every cell of SP and SμPar at width 64 as if its grid rows were the line of a search there."""
    rows = results.frame[(results.frame["phase"] == "grid") & (results.frame["width"] == 64)]
    cells = []
    for (rule, density), own in rows.groupby(["rule", "density"]):
        ids, there = list(own["trial_id"]), list(own.loc[own["lr"] == 2.0**-7, "trial_id"])
        hps = {"lr": 0.01, "init_std": 0.07, "alpha_output": 2.5, "lr_vector": 1.0}
        place = {"rule": rule, "width": 64, "density": density, "depth": 2}
        cells.append(DirectCell(**place, hps=hps, trials=64, line=tuple(ids), transferred=tuple(there)))
    return replace(results, direct=tuple(cells), study={"verdict": {"expect_stable": ["supar"]}})


def test_each_cell_says_what_transferring_gave_up_and_who_is_ahead() -> None:
    results = with_direct(results_of(grid_frame(rules=("sp", "supar"))))
    text = re.sub(r"<[^>]+>", " ", str(direct_section(results)))
    assert "own loss against SμPar" in text
    numbers = re.search(r"width 64, density 1/16\s+SP\s.*?\s(-?[\d.]+)%", text)
    assert numbers is not None
    assert float(numbers[1]) > 5  # SP's transferred LR lies 2.7 octaves off at a density of 1/16
    assert "alpha_output 2.5" in text
    assert "lr_vector" not in text  # a multiplier of 1 says nothing


def test_without_such_searches_there_is_no_section() -> None:
    results = results_of(grid_frame())
    assert direct_section(results) is None
    assert "Tuned directly" not in render_report(results)
    assert "Tuned directly" in render_report(with_direct(results))
