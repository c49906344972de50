"""The report: one self-contained HTML file that opens from disk, with nothing fetched from anywhere.

The page may run its own script and no other: the content security policy names it by its hash, so text from data that
slipped through escaping would still not run.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from importlib.resources import files
from string import Template

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import seconds_text
from hptransfer.common.version import __version__
from hptransfer.report.figures.pictures import KINDS, pictures
from hptransfer.report.page.answer import answer_section
from hptransfer.report.page.cells_table import cells_section
from hptransfer.report.page.cost import cost_section
from hptransfer.report.page.direct import direct_section
from hptransfer.report.page.elements import number, section
from hptransfer.report.page.markup import Markup, attributes, join, tag, text
from hptransfer.report.page.open_questions import open_section
from hptransfer.report.page.picture_markup import picture_markup
from hptransfer.report.page.provenance import provenance_section
from hptransfer.report.page.verdict import verdict_section

__all__ = ["REFRESH_S", "render_report"]

REFRESH_S = 10
"""How often an open page of a running study looks again, in seconds."""


def render_report(results: Results) -> str:
    """The whole page as text. Every string that came from data is escaped."""
    sections = {
        ("answer", "Answer"): answer_section(results),
        ("pictures", "Evidence"): _evidence(results),
        ("table", "Cells"): cells_section(results),
        ("direct", "Direct"): direct_section(results),
        ("open", "Open"): open_section(results),
        ("cost", "Cost"): cost_section(results),
        ("provenance", "Provenance"): provenance_section(results),
    }
    script = _asset("charts.js") + _asset("page.js")
    look_again = tag("noscript", Markup(f'<meta http-equiv="refresh" content="{3 * REFRESH_S}">'))
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    following = attributes(data_running=1, data_stamp=stamp, data_every=REFRESH_S)
    return Template(_asset("page.html")).substitute(
        csp=text(_policy(script)),
        version=text(__version__),
        refresh=look_again if results.running else "",
        title=text(f"{results.name}: hyperparameter transfer"),
        css=_asset("page.css"),
        running_attributes=following if results.running else "",
        name=text(results.name),
        nav=join(tag("a", label, href=f"#{name}") for (name, label), found in sections.items() if found),
        progress=text(_progress(results)),
        main=join(filter(None, [verdict_section(results), *sections.values()]), "\n"),
        footer=text(f"Written by hptransfer {__version__} on {stamp}, from the stored trials alone."),
        script=script,
    )


def _asset(name: str) -> str:
    return files("hptransfer.report.page").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = ("default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", f"script-src 'sha256-{digest}'")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))


def _evidence(results: Results) -> Markup | None:
    """The pictures in reading order; what the study cost has a section of its own."""
    drawn = [picture_markup(p) for p in pictures(results, [kind for kind in KINDS if kind != "cost"])]
    if not drawn:
        return None
    lead = "Point at a mark, or focus a panel and use the arrow keys, to read its values."
    hint = tag("p", "The charts need JavaScript; every number is in the table of cells.", class_="problem")
    return section("pictures", "The evidence", tag("noscript", hint), *drawn, lead=lead)


def _progress(results: Results) -> Markup | None:
    """How far a running study is, and the button that stops following it."""
    given = results.progress
    if given is None:
        return None
    planned, stored = number(given.get("planned")), number(given.get("stored"))
    share = 100 * min(1.0, stored / planned) if planned > 0 and stored >= 0 else 0.0
    words = [f"Running: {stored:.0f} of {planned:.0f} trials" if planned > 0 else "Running"]
    if given.get("phase"):
        words.append(str(given["phase"]))
    words += [f"{count:.0f} {name}" for name in ("diverged", "failed") if (count := number(given.get(name))) > 0]
    if (eta := number(given.get("eta_s"))) >= 0:
        words.append(f"about {seconds_text(eta)} left")
    said = {"role": "progressbar", "aria_label": "trials done", "aria_valuemin": 0, "aria_valuemax": 100}
    meter = tag("div", tag("i", style=f"width:{share:.1f}%"), class_="bar", aria_valuenow=round(share), **said)
    stop = tag("button", "Stop following", type="button", class_="quiet", id="follow")
    follow = tag("span", tag("span", id="following"), " ", stop)
    return tag("div", tag("div", tag("span", ", ".join(words) + "."), follow, class_="words"), meter, class_="running")
