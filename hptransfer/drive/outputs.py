"""What a study leaves besides its rows: verdict.json, plots/, report.html. All rebuilt from the store."""

from __future__ import annotations

from hptransfer.analysis.results import Results, load_results
from hptransfer.common.files import digest_of
from hptransfer.report.page import render_report
from hptransfer.report.plots import save_plots
from hptransfer.store.file_names import (
    BASE_FILE,
    BRACKET_FILE,
    CHECK_FILE,
    DIRECT_FILE,
    REPORT_FILE,
    STAMP_FILE,
    STUDY_FILE,
    TENSORS_FILE,
    VERDICT_FILE,
)
from hptransfer.store.store import Store

__all__ = ["refresh_outputs", "write_outputs"]

_SOURCES = (STUDY_FILE, BASE_FILE, CHECK_FILE, BRACKET_FILE, DIRECT_FILE, TENSORS_FILE)
"""What a report shows besides rows."""


def refresh_outputs(store: Store) -> str:
    """Write the outputs unless they already show what the store holds; the verdict's sentence."""
    shown = digest_of("".join([*(store.read_text(name) or "" for name in _SOURCES), *sorted(store.ids())]))
    stamp = store.read_json(STAMP_FILE)
    if stamp is None or stamp.get("made_of") != shown or store.read_text(REPORT_FILE) is None:
        results = write_outputs(store)
        sentence = results.judgement.sentence if results.judgement else f"No verdict: {results.no_judgement}"
        stamp = {"made_of": shown, "sentence": sentence}
        store.write_json(STAMP_FILE, stamp)
    return str(stamp["sentence"])


def write_outputs(store: Store) -> Results:
    """Judge the stored rows and write the verdict, the pictures and the report."""
    results = load_results(store.uri)
    if results.judgement is not None:
        store.write_text(VERDICT_FILE, results.judgement.to_json() + "\n")
    else:
        store.remove(VERDICT_FILE)  # of rows that can no longer be judged together
    save_plots(results, store.folder)
    store.write_text(REPORT_FILE, render_report(results))
    return results
