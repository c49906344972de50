"""base.json as a type: what is read comes back as it was, and whether anything was tuned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.base import BaseHPs, TunedBase

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/base.json")), ids=lambda path: path.parent.name)
def test_every_committed_base_reads_back_as_it_was(path: Path) -> None:
    content = json.loads(path.read_text())
    came_later = {"lr_embedding": 1.0, "lr_readout": 1.0, "lr_vector": 1.0}
    assert TunedBase.read(content, "base.json").document() == came_later | content


def test_a_study_that_tunes_nothing_keeps_its_base() -> None:
    base = TunedBase.untuned(BaseHPs(lr=0.5))
    assert (base.hps.lr, base.tuned, base.trials, base.flops, base.loss) == (0.5, False, 0, 0.0, None)
    assert base.transferred() is None
    assert base.document()["warnings"] == []


def test_a_base_written_by_hand_counts_as_tuned() -> None:
    base = TunedBase.read({"lr": 0.5, "init_std": 0.1, "beta2": 0.9}, "mine.json")
    assert (base.tuned, base.trials, base.training) == (True, None, {"beta2": 0.9})
    assert base.transferred() == BaseHPs(lr=0.5, init_std=0.1).model_dump()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "must be a JSON object"),
        ({"lr": True, "init_std": 1}, "lr must be numbers"),
        ({"lr": 1, "init_std": 1, "loss": "low"}, "loss: must be a number or null"),
        ({"lr": 0, "init_std": 1}, "lr: is out of range"),
    ],
)
def test_what_is_no_base_is_refused(content: object, words: str) -> None:
    with pytest.raises(InputError, match=rf"^b\.json.*{words}"):
        TunedBase.read(content, "b.json")
