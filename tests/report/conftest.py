"""Results of the made-up study, built once: sp drifts with density and width, mup with density, supar stays."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from fake_results import BASE, check_frame, grid_frame, tune_frame

from hptransfer.analysis.results import Results, results_of

STUDY = {
    "name": "demo",
    "question": "Does one set of hyperparameters serve every sparsity?",
    "grid": {"widths": [64, 128, 256], "densities": [1, 0.25, 0.0625]},
}


@pytest.fixture(scope="session")
def results() -> Results:
    """Three rules, widths and densities, nine LRs, three seeds, a proxy search and a coordinate check."""
    frame = pd.concat([grid_frame(), tune_frame()], ignore_index=True)
    base = replace(BASE, further={"importances": {"lr": 0.78, "init_std": 0.22}})
    return results_of(frame, name="demo", uri="results/demo", study=STUDY, base=base, check=check_frame())
