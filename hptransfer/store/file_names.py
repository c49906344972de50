"""The results folder, and the names of what lies in it besides its trials and curves."""

from __future__ import annotations

__all__ = [
    "BASE_FILE",
    "BRACKET_FILE",
    "CHECK_FILE",
    "CHECK_FRAME_FILE",
    "FAILED_FOLDER",
    "HISTORY_FILE",
    "PLOTS_FOLDER",
    "REPORT_FILE",
    "RESULTS_FOLDER",
    "RUNNING_FILE",
    "STAMP_FILE",
    "STUDY_FILE",
    "TENSORS_FILE",
    "VERDICT_FILE",
]

RESULTS_FOLDER = "results"
"""Where every study has its folder unless `--results` says otherwise."""
STUDY_FILE = "study.yaml"
"""The study as run."""
BASE_FILE = "base.json"
"""The base HPs, and what finding them cost."""
HISTORY_FILE = "tune.json"
"""Every run of the search, in order."""
CHECK_FILE = "check.json"
"""What the coordinate check came to."""
CHECK_FRAME_FILE = "check.parquet"
"""The rows of the coordinate check."""
BRACKET_FILE = "bracket.json"
"""Where a bracket search spent its trials, and why each cell stopped."""
TENSORS_FILE = "tensors.json"
"""What each rule does to every tensor of the largest, sparsest cell of the planned grid."""
RUNNING_FILE = "running.json"
"""How far a running study is."""
FAILED_FOLDER = "failed"
"""A log for every trial that could not be run."""
VERDICT_FILE = "verdict.json"
REPORT_FILE = "report.html"
PLOTS_FOLDER = "plots"
STAMP_FILE = "outputs.json"
"""What the last three were made of."""
