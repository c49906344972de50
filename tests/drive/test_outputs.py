"""Outputs are written from the store, and again only where it holds something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from hptransfer.drive.outputs import refresh_outputs
from hptransfer.store.store import Store

QUICKSTART = Path(__file__).parents[2] / "results" / "quickstart"


def test_they_follow_the_store_and_nothing_else(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(QUICKSTART, tmp_path / "quickstart"))
    for name in ("report.html", "verdict.json"):
        (folder / name).unlink(missing_ok=True)
    store = Store.open(str(folder), create=False)
    sentence = refresh_outputs(store)
    assert "supar is STABLE" in sentence
    assert {v["rule"] for v in json.loads((folder / "verdict.json").read_text())} == {"sp", "mup", "supar"}
    (folder / "report.html").write_text("mine")
    assert refresh_outputs(store) == sentence
    assert (folder / "report.html").read_text() == "mine"  # nothing is new, so nothing is written
    for name in ("study.yaml", "tensors.json", "bracket.json"):
        there = folder / name
        there.write_text((there.read_text() if there.exists() else "{}") + "\n")
        refresh_outputs(store)
        assert (folder / "report.html").read_text() != "mine", name
        (folder / "report.html").write_text("mine")
