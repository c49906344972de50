"""The report as text: self-contained, safe against its own data, small, and complete."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shlex
from dataclasses import replace

import pandas as pd
import pytest
from fake_results import TUNED, check_frame, grid_frame, tune_frame

from hptransfer.analysis.results import results_of
from hptransfer.drive.load_study import validate_study
from hptransfer.report.page import render_report
from hptransfer.report.remarks import add_command
from hptransfer.study.file import apply_overrides

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
    hostile = results_of(frame, name=EVIL, uri=EVIL, study=study, base=TUNED, problems=(EVIL,))
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
    # Hidden matrices at m = 256/64 = 4, ρ = 1/16: LR × 16/4, init std × sqrt(16/4).
    hidden = next(row for row in re.findall(r"<tr>.*?</tr>", page) if ">hidden<" in row)
    assert re.sub(r"<[^>]+>", " ", hidden).split()[:4] == ["hidden", "0.12", "0.0312", "×4"]


def test_every_cell_has_its_row(page, results):
    assert len(re.findall(r"<tr data-series=", page)) == len(results.judgement.cells) == 27


def test_the_charts_data_are_plain_json(page):
    blocks = re.findall(r'<script type="application/json" id="data-(\w+)">(.*?)</script>', page, re.S)
    assert [name for name, _ in blocks] == ["lr", "stability", "sparsity", "check", "tuning"]
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
    text = render_report(results_of(frame, name="large", base=TUNED, check=check_frame()))
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


def test_a_foreign_model_factory_is_never_imported(results):
    study = {"name": "x", "model": {"factory": "antigravity:fly"}, "grid": {"widths": [64]}}
    text = render_report(replace(results, study=study))
    assert "No table here: the model comes from antigravity:fly" in text


def test_the_command_that_settles_an_open_cell_is_a_valid_study_change():
    """At 2^−10 … 2^−6 the optimum of mup at density 1/16, 2^−4.8, lies beyond the grid's edge."""
    frame = grid_frame(rules=("mup",), widths=(64,), octaves=(-10, -9, -8, -7, -6))
    study = {"name": "demo", "grid": {"lr_multiples": [0.5, 1, 2], "nonzeros_per_neuron": 8}}
    results = results_of(frame, uri="out/demo", study=study, base=TUNED)
    rows = [r for r in results.judgement.cells.to_dict("records") if r["density"] == 1 / 16]
    words = shlex.split(add_command(results, rows).replace("\\\n", ""))
    assert words[:3] == ["hptransfer", "fanout", "out/demo/study.yaml"]
    assert words[-2:] == ["--results", "out"]
    changed = validate_study(apply_overrides(study, words[4:-2:2]))
    assert changed.grid.rules == ("mup",)
    assert [(c.width, c.density) for c in changed.grid.shapes(2)] == [(64, 1 / 16)]
    assert changed.grid.lr == pytest.approx((2.0**-5, 2.0**-4))
    assert "'grid.lr=[0.03125, 0.0625]'" in html.unescape(render_report(results))


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


def test_init_is_advised_in_multiples_of_the_base_not_of_what_transferred():
    """An untuned study's transferred init is a fitted one; the grid multiplies the study's own."""
    frame = grid_frame(
        octaves=(-7,), inits=tuple(0.06 * 2.0**k for k in (0, 1, 2, 3, 4)), widths=(64,), rules=("supar",)
    )
    study = {"name": "s", "base": {"lr": 2.0**-7, "init_std": 0.06}, "grid": {"init_multiples": [1, 2, 4, 8, 16]}}
    results = results_of(frame, study=study, uri="results/s")
    row = next(r for r in results.judgement.cells.to_dict("records") if r["suggest_values"])
    command = add_command(results, [row])
    wanted = [float(f"{value / 0.06:.9g}") for value in row["suggest_values"]]
    assert f"grid.init_multiples={json.dumps(wanted)}" in command
