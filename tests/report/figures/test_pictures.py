"""Every picture by its kind."""

from __future__ import annotations

import pytest

from hptransfer.analysis.results import Results
from hptransfer.common.errors import InputError
from hptransfer.report.figures.pictures import KINDS, pictures


def test_pictures_come_in_reading_order_and_only_those_with_data(results: Results) -> None:
    named = ["lr", "stability", "regret", "sparsity", "params", "check", "tuning", "tuning_together", "cost"]
    assert [picture.id for picture in pictures(results)] == named


def test_every_file_is_named_after_its_kind(results: Results) -> None:
    for kind in KINDS:
        for picture in pictures(results, [kind]):
            assert {stem.partition("-")[0] for stem in picture.files()} == {kind}


def test_an_unknown_kind_is_refused(results: Results) -> None:
    with pytest.raises(InputError, match="allowed: lr, stability, regret"):
        list(pictures(results, ["lrr"]))
