"""A plan on a terminal: tables that fit it, and a sentence that sums up."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from hptransfer.cli.plan_table import plan_table, summary
from hptransfer.drive.plan import CellPlan, Load, PhasePlan, Plan

LOAD = Load(
    planned=48,
    stored=12,
    params=10_000,
    params_nonzero=6_000,
    flops_dense=4e12,
    flops_nonzero=2e12,
    memory_bytes=3_000_000,
    memory_sparse_bytes=3_000_000,
    micro_batches=1,
    est_seconds=240.0,
)
PLAN = Plan(
    **vars(LOAD),
    study="small",
    diverged=2,
    failed=1,
    packs=8,
    workers=2,
    fixed_grid=0,
    phases=(PhasePlan(**vars(LOAD), phase="grid", packs=8),),
    cells=(
        CellPlan(
            **vars(LOAD),
            phase="grid",
            width=32,
            density=0.0625,
            depth=2,
        ),
    ),
)


def shown(plan: Plan) -> str:
    screen = io.StringIO()
    Console(file=screen, width=80).print(plan_table(plan))
    return screen.getvalue()


def test_the_tables_fit_eighty_columns() -> None:
    lines = shown(PLAN).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in shown(PLAN)
    (cell,) = [line.split() for line in lines if line.split()[:2] == ["32", "0.0625"]]
    assert cell == ["32", "0.0625", "2", "48", "12", "10k", "6k", "4T", "2T", "4m", "00s"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "48 trials, 12 stored (2 diverged, 1 failed), 8 packs on 2 workers, about 4m 00s of training left"),
        ({"workers": 1}, "8 packs on 1 worker, about"),
        ({"est_seconds": None}, "8 packs on 2 workers, time unknown"),
        ({"fixed_grid": 200}, "training left; the search takes about 48 of the fixed grid's 200"),
        ({"memory_sparse_bytes": 1_000_000}, ". A trial needs up to 3 MB, or 1 MB with its sparse layers held as non-"),
        ({"micro_batches": 4}, ". So that it fits, a batch is worked off in up to 4 micro-batches"),
    ],
)
def test_the_sentence_sums_up(changes: dict[str, object], said: str) -> None:
    assert said in summary(replace(PLAN, **changes))  # type: ignore[arg-type]
