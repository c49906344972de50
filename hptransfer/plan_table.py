"""A plan for the eye: phases, cells, totals."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hptransfer.execute.progress import duration
from hptransfer.plan import Load, Plan

__all__ = ["plan_table", "quantity", "summary"]

NUMBERS = ("trials", "stored", "params", "non-zero", "FLOPs", "non-zero", "memory", "time")


def plan_table(plan: Plan) -> RenderableType:
    """Tables by phase and by cell, and a sentence that sums up."""
    phases = Table("phase", title=f"Plan of {plan.study}", title_justify="left")
    for name in ("packs", *NUMBERS):
        phases.add_column(name, justify="right")
    for phase in plan.phases:
        phases.add_row(phase.phase, str(phase.packs), *_numbers(phase))
    cells = Table("phase", title="By cell", title_justify="left")
    for name in ("width", "density", "depth", *NUMBERS):
        cells.add_column(name, justify="right")
    for cell in plan.cells:
        cells.add_row(cell.phase, str(cell.width), f"{cell.density:g}", str(cell.depth), *_numbers(cell))
    return Group(phases, cells, Text(summary(plan)))


def summary(plan: Plan) -> str:
    """`252 trials, 0 stored (0 diverged, 0 failed), 40 packs on 2 workers, about 3m 05s of training left`."""
    time = "time unknown" if plan.est_seconds is None else f"about {duration(plan.est_seconds)} of training left"
    return (
        f"{plan.planned} trials, {plan.stored} stored ({plan.diverged} diverged, {plan.failed} failed), "
        f"{plan.packs} packs on {plan.workers} worker{'s' if plan.workers != 1 else ''}, {time}"
    )


def quantity(value: float, unit: str = "", step: float = 1000.0) -> str:
    """`1.5M`, `3.2 GB`: three digits and a prefix."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if abs(value) < step or prefix == "E":
            break
        value /= step
    number = f"{value:.3g}" if value < step else f"{value:.0f}"
    return f"{number}{' ' if unit else ''}{prefix}{unit}"


def _numbers(load: Load) -> tuple[str, ...]:
    return (
        str(load.planned),
        str(load.stored),
        quantity(load.params),
        quantity(load.params_nonzero),
        quantity(load.flops_dense),
        quantity(load.flops_nonzero),
        quantity(load.memory_bytes, "B"),
        "–" if load.est_seconds is None else duration(load.est_seconds),
    )
