"""What the stored studies came to before the house was rebuilt, held to the last digit.

Each file holds, for one folder under `results/`, its verdicts and cells, the data of the page's charts, and the ids of
its trials, as they were at schema version 1. Words may be put better since then; numbers and ids may not move.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hptransfer.analysis.results import load_results
from hptransfer.drive.load_study import validate_study
from hptransfer.report.figures.chart import Chart
from hptransfer.report.figures.pictures import pictures
from hptransfer.store.store import Store
from hptransfer.study.base import TunedBase
from hptransfer.trials.grid import trials_of
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.settled import Settled

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results"
STUDIES = sorted(path.name.removesuffix(".json.gz") for path in HERE.glob("*.json.gz"))
WORDS = {"why", "title", "lead", "note", "label", "sentence", "suggest", "notes"}
"""Keys whose text may be put better."""


@pytest.fixture(params=STUDIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))
    return found


def numbers(node: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value of a document that is no mere wording, with its place."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in WORDS:
                yield from numbers(value, f"{path}.{key}")
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from numbers(value, f"{path}[{place}]")
    elif not isinstance(node, str) or " " not in node:  # a text of several words is a wording too
        yield path, node


def test_there_is_a_golden_file_for_every_committed_study() -> None:
    assert len(STUDIES) == 14


def test_the_verdict_and_every_cell_are_what_they_were(name: str) -> None:
    judgement = load_results(str(RESULTS / name)).judgement
    assert judgement is not None
    now, before = judgement.to_dict(), golden(name)["whole"]
    assert list(numbers(now)) == list(numbers(before))
    assert [v["verdict"] for v in json.loads(judgement.to_json())] == [v["verdict"] for v in golden(name)["verdict"]]


def test_the_charts_hold_what_they_held(name: str) -> None:
    before = golden(name)["charts"]
    known = {chart["id"] for chart in before}  # pictures that came later are none of its business
    drawn = [p.to_json() for p in pictures(load_results(str(RESULTS / name))) if isinstance(p, Chart)]
    now = json.loads(json.dumps([chart for chart in drawn if chart["id"] in known]))
    assert list(numbers(now)) == list(numbers(before))


def test_trial_ids_are_what_they_were(name: str) -> None:
    folder = RESULTS / name
    study = validate_study(yaml.safe_load((folder / "study.yaml").read_text()))
    (data_id,) = Store.open(str(folder), create=False).read()["data_id"].unique()
    precision = study.training.precision
    assert precision != "auto"
    base = TunedBase.read(json.loads((folder / "base.json").read_text()), "base.json")
    settled = Settled.from_base(study, base, precision, data_id)
    assert [t.id for t in trials_of(settled)] == golden(name)["grid_ids"]
    if study.tune is not None:
        proxy = Proxy(Settled(study, study.base.hps, precision, data_id))
        runs = json.loads((folder / "tune.json").read_text()) if golden(name)["tune_ids"] else []
        again = [
            proxy.trial({hp: run[hp] for hp in proxy.space}, seed=run["seed"], width=run["width"]).id for run in runs
        ]
        assert again == golden(name)["tune_ids"]
