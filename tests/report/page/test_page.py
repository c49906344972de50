"""The report as text: self-contained, safe against its own data, small, and complete."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_results import BASE, check_frame, grid_frame, tune_frame

from hptransfer.analysis.results import results_of
from hptransfer.report.page import render_report

EVIL = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def page(results) -> str:
    return render_report(results)


def test_nothing_is_fetched(page):
    """Addresses appear only as the name of the SVG namespace and as `data:`."""
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'".replace("'", "&#x27;") in page
    assert not re.search(r"<(link|img|script|iframe)[^>]+(src|href)=[\"'](?!data:)", page)


def test_only_the_pages_own_script_may_run(page):
    script = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in page


def test_text_from_data_never_becomes_markup():
    frame = grid_frame(rules=(EVIL, "supar"), widths=(64,), densities=(1, 0.25))
    frame["device"], frame["code_version"] = EVIL, EVIL
    study = {"name": "x", "question": EVIL, "grid": {"rules": ["supar"]}, "note": EVIL}
    hostile = results_of(frame, name=EVIL, uri=EVIL, study=study, base=BASE, problems=(EVIL,))
    text = render_report(hostile)
    assert "<script>alert" not in text
    tame = render_report(results_of(grid_frame(widths=(64,), densities=(1, 0.25))))
    assert text.count("<script") == tame.count("<script")
    assert "&lt;script&gt;alert(1)" in text


def test_the_sentence_the_badges_and_the_answer_are_there(page, results):
    plain = re.sub(r"<[^>]+>", "", page)
    assert "supar is STABLE over density and width" in plain
    assert page.count('class="badge stable"') > 2
    assert "On width 256 at density 1/16 they mean, under SμPar" in plain


def test_every_cell_has_its_row(page, results):
    assert len(re.findall(r"<tr data-series=", page)) == len(results.judgement.cells) == 27


def test_the_charts_data_are_plain_json(page):
    blocks = re.findall(r'<script type="application/json" id="data-(\w+)">(.*?)</script>', page, re.S)
    assert [name for name, _ in blocks] == [
        "lr",
        "stability",
        "sparsity",
        "params",
        "check",
        "tuning",
        "tuning_together",
    ]
    lr = json.loads(dict(blocks)["lr"])
    assert [p["title"] for p in lr["views"][0]["panels"]] == ["SP", "μP", "SμPar"]
    tip = lr["views"][0]["panels"][2]["lines"][0]["points"][0][-1]
    assert tip.startswith("SμPar, width 256, density 1\nLR 2⁻¹¹ = 0.000488\nloss ")
    assert tip.endswith("3 seeds")


def test_two_thousand_trials_stay_below_three_megabytes():
    rules = ("sp", "mup", "supar", "completep")
    sizes = {"widths": (64, 128, 256, 512), "densities": (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)}
    grid = grid_frame(rules=rules, octaves=range(-10, -2), seeds=3, **sizes)
    frame = pd.concat([grid, tune_frame(100)], ignore_index=True)
    assert len(frame) >= 2000
    text = render_report(results_of(frame, name="large", base=BASE, check=check_frame()))
    assert len(text.encode()) < 3_000_000


def test_a_running_study_is_followed_and_a_finished_one_is_not(results):
    progress = {"planned": 100, "stored": 40, "diverged": 3, "failed": 0, "eta_s": 90.0, "phase": "grid"}
    text = render_report(replace(results, progress=progress))
    assert 'data-running="1"' in text
    assert "Running: 40 of 100 trials, grid, 3 diverged, about 1.5 min left." in text
    assert 'style="width:40.0%"' in text
    assert "data-running=" not in render_report(results)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame(), "No verdict yet: no trial has finished yet."),
        (tune_frame(8), "No verdict yet: results: no rows of phase"),
        (grid_frame(octaves=(-7,), widths=(64,), densities=(1,)), "is INCONCLUSIVE over density"),
        (grid_frame(seeds=1, widths=(64,)), "one seed"),
        (grid_frame()[["rule", "width", "density", "lr", "seed", "loss"]], "supar is STABLE"),
    ],
    ids=["empty", "search only", "one LR", "one seed", "foreign columns"],
)
def test_poor_input_gives_a_page_that_says_so(frame, words):
    plain = re.sub(r"<[^>]+>", "", render_report(results_of(frame, name="poor")))
    assert words in plain


def test_a_page_is_written_without_torch():
    """In a process of its own: from a stored folder to the page, nothing loads what trains."""
    code = (
        "import sys; from hptransfer.analysis.results import load_results; from hptransfer.report.page import"
        " render_report; render_report(load_results('results/density-lr')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
