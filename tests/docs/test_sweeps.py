"""Every study file in sweeps/ loads, plans, and has its figure's full-size twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.drive.load_study import load_study
from hptransfer.drive.plan import make_plan, planned_work
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.memory import MEMORY_SHARE
from hptransfer.trials.settled import Settled

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
STUDIES = sorted(SWEEPS.glob("*.yaml"))
OURS = ("quickstart", "smoke", "multipliers", "own-best-long")
"""Studies that follow no figure of the paper, or one that another follows at its own size."""
FIGURES = [path for path in STUDIES if path.stem not in OURS and not path.stem.endswith("-full")]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_plans(path: Path) -> None:
    study = load_study(path)
    assert study.name == path.stem
    data_id = open_corpus(study.data).fingerprint
    plan = make_plan(study, planned_work(Settled(study, study.base.hps, "fp32", data_id), tuned=False))
    assert plan.planned > 0
    assert 0 < plan.flops_nonzero <= plan.flops_dense
    assert plan.memory_bytes > 0


@pytest.mark.parametrize("path", [p for p in STUDIES if p.stem.endswith("-full")], ids=lambda path: path.stem)
def test_a_full_study_fits_a_gpu_of_80_gigabytes(path: Path) -> None:
    study, room = load_study(path), int(MEMORY_SHARE * 80e9)
    settled = Settled(study, study.base.hps, "bf16", open_corpus(study.data).fingerprint)
    assert make_plan(study, planned_work(settled, tuned=False), room=room).memory_bytes <= room


def test_every_figure_has_a_full_twin_that_asks_the_same() -> None:
    assert len(FIGURES) == 13
    for path in FIGURES:
        small, full = load_study(path), load_study(path.with_stem(f"{path.stem}-full"))
        assert full.question == small.question
        assert full.grid.rules == small.grid.rules
        assert set(full.grid.variants) == set(small.grid.variants)
        assert max(c.width for c in full.cells) > max(c.width for c in small.cells)
