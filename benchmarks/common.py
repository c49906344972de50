"""What the benchmarks share: the setting, a row of a table, the machine, and how results are written."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "benchmarks"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BATCH, LENGTH, DEPTH = 16, 64, 2

Row = dict[str, Any]


def row(name: str, ours: float, baseline: float, target: float | None, unit: str) -> Row:
    """A row of the table; `ratio` is baseline over ours, so that above 1 ours is better, and `target` is a ratio."""
    ratio = baseline / ours
    met = None if target is None else bool(ratio >= target)
    return _row(name, ours, baseline, ratio, target, met, unit)


def bound(name: str, ours: float, most: float | None, unit: str) -> Row:
    """A row without a baseline, or with one that sets no target: ours should be at most `most`, in its own unit."""
    return _row(name, ours, None, None, most, None if most is None else bool(ours <= most), unit)


def not_measured(name: str, target: float | None, unit: str) -> Row:
    """A row that could not be measured here; the name says why."""
    return _row(name, None, None, None, target, None, unit)


def _row(
    name: str,
    ours: float | None,
    baseline: float | None,
    ratio: float | None,
    target: float | None,
    met: bool | None,
    unit: str,
) -> Row:
    return {
        "name": name,
        "ours": ours,
        "baseline": baseline,
        "ratio": ratio,
        "target": target,
        "met": met,
        "unit": unit,
    }


def show(rows: Sequence[Row]) -> None:
    """Print rows as they come."""
    for r in rows:
        ours = "not measured" if r["ours"] is None else f"{r['ours']:.4g} {r['unit']}"
        against = "" if r["baseline"] is None else f" against {r['baseline']:.4g}, ×{r['ratio']:.2f}"
        target = "" if r["target"] is None else f"  target {r['target']:g}"
        met = {None: "", True: " met", False: " MISSED"}[r["met"]]
        print(f"{r['name']}: {ours}{against}{target}{met}", flush=True)


def write(name: str, rows: Sequence[Row], *, add: bool = False, **about: Any) -> None:
    """Keep a benchmark's rows in results/benchmarks, and draw its picture.

    `add` keeps what an earlier run on the same machine measured, but for rows of the same names.
    """
    from pictures import draw  # here, not above: the contenders have no use for matplotlib

    OUTPUT.mkdir(parents=True, exist_ok=True)
    path, here = OUTPUT / f"{name}.json", machine() | about
    there = json.loads(path.read_text(encoding="utf-8")) if add and path.exists() else {}
    kept = there["rows"] if there.get("machine") == here else []
    fresh = {r["name"] for r in rows}
    content = {"machine": here, "rows": [*(r for r in kept if r["name"] not in fresh), *rows]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draw(path)


def machine() -> Row:
    """What the numbers were measured on."""
    from hptransfer.sparsity.kernel import load_kernel

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": CORES,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "kernel": load_kernel() is not None,
    }


def timed(command: Sequence[str], environment: dict[str, str] | None = None) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
