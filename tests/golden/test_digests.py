"""A stored search, check or bracket is known again by its digest, so that a finished study runs nothing anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hptransfer.drive.check import check_digest, scope_of
from hptransfer.drive.load_study import validate_study
from hptransfer.drive.run import question_of
from hptransfer.store.store import Store
from hptransfer.study.base import TunedBase
from hptransfer.study.study import Study
from hptransfer.trials.grid import trials_of
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.settled import Settled

RESULTS = Path(__file__).parents[2] / "results"
SWEEPS = RESULTS.parent / "sweeps"


def stored(file: str) -> list[str]:
    return sorted(path.parent.name for path in RESULTS.glob(f"*/{file}") if (path.parent / "study.yaml").exists())


def document(name: str, file: str) -> Any:
    return json.loads((RESULTS / name / file).read_text())


def settled(name: str) -> Settled:
    """As the study was run: with its precision as its file has it, and then settled."""
    tree = yaml.safe_load((RESULTS / name / "study.yaml").read_text())
    file = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text())
    precision, tree["training"]["precision"] = tree["training"]["precision"], file["training"].get("precision", "auto")
    study: Study = validate_study(tree)
    (data_id,) = Store.open(str(RESULTS / name), create=False).read()["data_id"].unique()
    return Settled.from_base(study, TunedBase.read(document(name, "base.json"), name), precision, data_id)


@pytest.mark.parametrize("name", stored("tune.json"))
def test_a_search_is_known_again(name: str) -> None:
    found = settled(name)
    proxy = Settled(found.study, found.study.base.hps, found.precision, found.data_id)
    assert Proxy(proxy).digest == document(name, "base.json")["provenance"]["search_digest"]


@pytest.mark.parametrize("name", stored("check.json"))
def test_a_check_is_known_again(name: str) -> None:
    found = settled(name)
    assert check_digest(found, scope_of(found)) == document(name, "check.json")["digest"]


@pytest.mark.parametrize("name", stored("bracket.json"))
def test_a_bracket_search_is_known_again(name: str) -> None:
    found = settled(name)
    assert question_of(found, trials_of(found)) == document(name, "bracket.json")["question"]
