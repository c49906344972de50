"""Where the results come from: what ran where, from which data and code; the study as run."""

from __future__ import annotations

import json

import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.report.page.elements import section
from hptransfer.report.page.markup import Markup, tag

__all__ = ["provenance_section"]

_PROVENANCE = (
    ("models", "model"),
    ("data", "data_id"),
    ("code", "code_version"),
    ("devices", "device"),
    ("products", "products"),
    ("precision", "precision"),
    ("optimizer", "optimizer"),
    ("schema", "schema_version"),
)


def provenance_section(results: Results) -> Markup:
    """What ran where, from which data and code; the study file as run."""
    frame = results.frame
    facts: list[object] = []
    for label, column in _PROVENANCE:
        if column in frame and len(values := frame[column].dropna().astype(str).unique()):
            facts += [tag("dt", label), tag("dd", ", ".join(sorted(values)[:8]))]
    if versions := _versions(frame):
        facts += [tag("dt", "versions"), tag("dd", versions)]
    if "finished_at" in frame and frame["finished_at"].notna().any():
        stamps = frame["finished_at"].dropna().astype(str)
        facts += [tag("dt", "ran"), tag("dd", f"{stamps.min()[:19]} to {stamps.max()[:19]}")]
    facts += [tag("dt", "results"), tag("dd", results.uri or "in memory")]
    parts = [tag("p", problem, class_="problem") for problem in results.problems]
    parts.append(tag("dl", *facts, class_="facts"))
    if results.study is not None:
        dump = json.dumps(dict(results.study), indent=2, ensure_ascii=False, default=str)
        parts.append(tag("details", tag("summary", "The study as run"), tag("pre", tag("code", dump))))
    return section("provenance", "Where this comes from", *parts)


def _versions(frame: pd.DataFrame) -> str:
    if "versions" not in frame:
        return ""
    found: dict[str, set[str]] = {}
    for given in frame["versions"].dropna().astype(str).unique()[:20]:
        try:
            read = json.loads(given)
        except ValueError:
            continue
        if isinstance(read, dict):
            for name, value in read.items():
                found.setdefault(str(name), set()).add(str(value))
    return ", ".join(f"{name} {' / '.join(sorted(values))}" for name, values in found.items())
