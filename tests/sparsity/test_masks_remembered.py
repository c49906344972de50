"""A mask that was drawn before comes back the same, without a draw, and remembering has a bound."""

from __future__ import annotations

import pytest
import torch

from hptransfer.sparsity import masks
from hptransfer.sparsity.masks import make_mask


@pytest.fixture(autouse=True)
def nothing_remembered():
    masks._places.clear()
    yield
    masks._places.clear()


@pytest.mark.parametrize(("kind", "count"), [("random", 77), ("row", 96), ("2:4", 384)])
@pytest.mark.parametrize("out_dims", [(0,), (1,)])
def test_a_remembered_mask_is_the_drawn_one(kind: str, count: int, out_dims: tuple[int, ...]):
    first = make_mask((24, 32), count, kind=kind, seed=3, name="w", out_dims=out_dims)
    again = make_mask((24, 32), count, kind=kind, seed=3, name="w", out_dims=out_dims)
    assert torch.equal(first, again)
    assert first is not again


def test_a_mask_changed_by_its_user_does_not_change_the_next_one():
    first = make_mask((24, 32), 77, seed=3, name="w")
    first.fill_(True)
    assert int(make_mask((24, 32), 77, seed=3, name="w").sum()) == 77


def test_seed_name_count_and_kind_are_told_apart():
    asked = [(96, "random", 0, "a"), (96, "random", 1, "a"), (96, "random", 0, "b"), (192, "random", 0, "a")]
    asked.append((96, "row", 0, "a"))
    drawn = [make_mask((24, 40), n, kind=k, seed=s, name=name) for n, k, s, name in asked]
    again = [make_mask((24, 40), n, kind=k, seed=s, name=name) for n, k, s, name in asked]
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert all(not torch.equal(drawn[0], other) for other in drawn[1:])


def test_the_oldest_go_when_the_budget_is_full(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masks, "_PLACES_BYTES", 8 * 4 * 96)
    for seed in range(20):
        make_mask((24, 40), 96, seed=seed, name="w")
    assert [key[3] for key in masks._places] == list(range(12, 20))
    make_mask((24, 400), 960, seed=0, name="large")
    assert len(masks._places) == 8
