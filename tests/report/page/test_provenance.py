"""Where results come from."""

from __future__ import annotations

import re
from dataclasses import replace

from hptransfer.analysis.results import Results
from hptransfer.report.page.provenance import provenance_section


def test_what_ran_where_from_which_data_and_code(results: Results) -> None:
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", provenance_section(results)))
    assert (facts["data"], facts["code"], facts["devices"]) == ("stdlib-3f9a", "0.1.0+1a2b3c4", "cpu")
    assert facts["versions"] == "python 3.13.5, torch 2.13.0, numpy 2.3.1"
    stamps = results.frame["finished_at"]
    assert facts["ran"] == f"{stamps.min()[:19]} to {stamps.max()[:19]}"
    assert facts["results"] == "results/demo"


def test_several_versions_are_all_named_and_what_is_no_json_is_not(results: Results) -> None:
    notes = ["no json", '{"torch": "2.12.0"}', *results.frame["versions"][2:]]
    facts = provenance_section(replace(results, frame=results.frame.assign(versions=notes)))
    assert "torch 2.12.0 / 2.13.0" in facts


def test_what_could_not_be_read_is_said(results: Results) -> None:
    assert '<p class="problem">a.parquet is damaged</p>' in provenance_section(
        replace(results, problems=("a.parquet is damaged",))
    )
