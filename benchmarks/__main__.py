"""All benchmarks, one after the other, and their table: `python -m benchmarks`, or `make bench`.

    python -m benchmarks                     everything, about an hour on two quiet cores
    python -m benchmarks --quick             each for a look whether it runs; writes nothing
    python -m benchmarks --only step,sweep   some of them
    python -m benchmarks --only ""           only table and pictures, from what results/benchmarks holds

Each is a script of its own beside this file and writes results/benchmarks/<name>.json; the table is written to
results/benchmarks/README.md. Leave the machine alone while they run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.pictures import draw

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "results" / "benchmarks"
QUICK: dict[str, list[str] | None] = {
    "step": ["--quick"],
    "sweep": ["--quick"],
    "sparse": ["--quick"],
    "bracket": ["--quick"],
    "overhead": ["--quick"],
    "check_rates": ["--quick"],
    "tuning": None,
    "samplers": None,
    "gpu": ["--quick"],
}
"""What makes each benchmark a quick look; None: it has no quick form and is left out of one."""


def table(folder: Path) -> str:
    """Every result in the folder as one Markdown page: measured or not, met or missed."""
    page = [
        "# Benchmarks",
        "",
        "Written by `make bench`. A ratio above 1 means that ours is better, and targets are ratios; a row without a"
        " baseline has an upper bound as its target.",
        "",
    ]
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        page += [f"## {path.stem}", "", ", ".join(f"{k} {v}" for k, v in content["machine"].items()), ""]
        page += ["| what | ours | baseline | ratio | target | met |", "|---|---:|---:|---:|---:|---|"]
        page += [line(row) for row in content["rows"]]
        picture = path.with_suffix(".png")
        page += ["", *([f"![{path.stem}]({picture.name})", ""] if picture.exists() else [])]
    return "\n".join(page)


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    unit = f" {row['unit']}" if row.get("unit") else ""

    def number(value: float | None, suffix: str = "") -> str:
        if value is None:
            return "" if row["ours"] is not None else "not measured"
        return f"{value:.3g}{suffix}"

    target = "" if row["target"] is None else f"{row['target']:g}"
    met = {None: "", True: "yes", False: "**no**"}[row["met"]]
    cells = (row["name"], number(row["ours"], unit), number(row["baseline"], unit), number(row["ratio"]), target, met)
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Run what was asked for, then write the table; the exit status is 1 where a benchmark failed to run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(QUICK))
    a = parser.parse_args()
    failed = []
    for name in filter(None, a.only.split(",")):
        if name not in QUICK:
            parser.error(f"no benchmark '{name}'; there are {', '.join(QUICK)}")
        arguments = QUICK[name] if a.quick else []
        if arguments is None:
            continue
        print(f"== {name}", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
        if subprocess.run(command, cwd=HERE.parent).returncode:
            failed.append(name)
    if not a.quick and OUTPUT.is_dir():
        for path in OUTPUT.glob("*.json"):
            draw(path)
        (OUTPUT / "README.md").write_text(table(OUTPUT), encoding="utf-8")
    if failed:
        print(f"failed to run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
