"""A fixed number of heads: right where logits fall with the head size, found where they do not, in whatever form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import pytest
from torch import nn
from traced_models import Net, TorchsOwn
from zoo.entry import TOKENS

from hptransfer.scaling.check.judge import judge_check
from hptransfer.scaling.check.measure import CheckSettings, coordinate_check
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import GPT


def nano(width: int, depth: int = 1, **options: object) -> nn.Module:
    return Net(width, depth, vocabulary=64, **options)


def own(width: int, depth: int = 1) -> nn.Module:
    return TorchsOwn(width, depth, vocabulary=64)


def ours(width: int, depth: int = 1, **options: object) -> nn.Module:
    return GPT(width=width, depth=depth, vocab_size=64, context=8, heads=2, **options)


MODELS = {
    "fused": partial(nano, fused=True),
    "written out": partial(nano, fused=False),
    "torch's": own,
    "ours": ours,
    "ours with ALiBi": partial(ours, positions="alibi"),
}


def scores(name: str, queries: Sequence[str] | None) -> tuple[str, pd.Series]:
    """Outcome at μP, and the row of the update of the scores."""
    settings = CheckSettings(
        base_width=64, depth=1, steps=1, seeds=tuple(range(12)), base=BaseHPs(lr=2**-7, init_std=0.05), queries=queries
    )
    frame = coordinate_check(MODELS[name], TOKENS, widths=(64, 256), rules=("mup",), settings=settings)
    verdict = judge_check(frame, axis="width")
    rows = verdict.slopes.query("kind == 'aligned_update' and role == 'scores'")
    (row,) = (row for _, row in rows.iterrows())
    return verdict.by_rule["mup"], row


@pytest.mark.parametrize("name", MODELS)
def test_scaled_by_one_over_d_it_passes_and_its_scores_learn_alike_at_every_width(name: str) -> None:
    outcome, row = scores(name, None)
    assert outcome == "PASS"
    assert row.slope == pytest.approx(0, abs=0.12)


@pytest.mark.parametrize("name", MODELS)
def test_left_at_one_over_the_root_of_d_the_update_of_its_scores_grows_by_that_root(name: str) -> None:
    outcome, row = scores(name, ())
    assert outcome == "FAIL"
    assert row.outcome == "FAIL"
    assert row.slope == pytest.approx(0.5, abs=0.12)
