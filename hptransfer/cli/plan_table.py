"""A plan for the eye: phases, cells, totals."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hptransfer.common.number_text import duration, quantity
from hptransfer.drive.plan import Load, Plan

__all__ = ["plan_table", "summary"]

WEIGHT = ("trials", "stored", "params", "nonzero", "FLOPs", "nonzero")


def plan_table(plan: Plan) -> RenderableType:
    """Tables by phase and by cell of the grid, and a sentence that sums up; 80 columns are enough."""
    phases = _table(f"Plan of {plan.study}", ("phase", "packs", *WEIGHT, "memory", "time"))
    for phase in plan.phases:
        memory = quantity(phase.memory_bytes, "B")
        phases.add_row(phase.phase, str(phase.packs), *_weight(phase), memory, _time(phase.est_seconds))
    cells = _table("Cells of the grid", ("width", "density", "depth", *WEIGHT, "time"))
    for cell in plan.cells:
        if cell.phase == "grid":
            size = (str(cell.width), f"{cell.density:.4g}", str(cell.depth))
            cells.add_row(*size, *_weight(cell), _time(cell.est_seconds))
    return Group(phases, cells, Text(summary(plan)))


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name == "phase" else "right", no_wrap=True)
    return table


def summary(plan: Plan) -> str:
    """`252 trials, 0 stored (0 diverged, 0 failed), 40 packs on 2 workers, about 3m 05s of training left`."""
    time = "time unknown" if plan.est_seconds is None else f"about {duration(plan.est_seconds)} of training left"
    asked = next((phase.planned for phase in plan.phases if phase.phase == "grid"), 0)
    saved = f"; the search takes about {asked} of the fixed grid's {plan.fixed_grid}" if plan.fixed_grid else ""
    return (
        f"{plan.planned} trials, {plan.stored} stored ({plan.diverged} diverged, {plan.failed} failed), "
        f"{plan.packs} packs on {plan.workers} worker{'s' if plan.workers != 1 else ''}, {time}{saved}{_memory(plan)}"
    )


def _memory(plan: Plan) -> str:
    """What a trial needs at most, where that is cut down: by leaving out zeros, or by working a batch off in parts."""
    said = ""
    if plan.memory_sparse_bytes < plan.memory_bytes:
        dense, sparse = quantity(plan.memory_bytes, "B"), quantity(plan.memory_sparse_bytes, "B")
        said += f". A trial needs up to {dense}, or {sparse} with its sparse layers held as non-zeros"
    if plan.micro_batches > 1:
        said += f". So that it fits, a batch is worked off in up to {plan.micro_batches} micro-batches"
    return said


def _weight(load: Load) -> tuple[str, ...]:
    sizes = (load.params, load.params_nonzero, load.flops_dense, load.flops_nonzero)
    return (str(load.planned), str(load.stored), *map(quantity, sizes))


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else duration(seconds)
