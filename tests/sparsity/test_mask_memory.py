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


@pytest.mark.parametrize(("kind", "density"), [("random", 0.1), ("row", 0.1), ("2:4", 0.5)])
@pytest.mark.parametrize("out_dims", [(0,), (1,)])
def test_a_remembered_mask_is_the_drawn_one(kind: str, density: float, out_dims: tuple[int, ...]):
    first = make_mask((24, 32), density, kind=kind, seed=3, name="w", out_dims=out_dims)
    again = make_mask((24, 32), density, kind=kind, seed=3, name="w", out_dims=out_dims)
    assert torch.equal(first, again)
    assert first is not again


def test_a_mask_changed_by_its_user_does_not_change_the_next_one():
    first = make_mask((24, 32), 0.1, seed=3, name="w")
    first.fill_(True)
    assert int(make_mask((24, 32), 0.1, seed=3, name="w").sum()) == round(0.1 * 24 * 32)


def test_seed_name_density_and_kind_are_told_apart():
    asked = [(0.1, "random", 0, "a"), (0.1, "random", 1, "a"), (0.1, "random", 0, "b"), (0.2, "random", 0, "a")]
    asked.append((0.1, "row", 0, "a"))
    drawn = [make_mask((24, 40), d, kind=k, seed=s, name=n) for d, k, s, n in asked]
    again = [make_mask((24, 40), d, kind=k, seed=s, name=n) for d, k, s, n in asked]
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert all(not torch.equal(drawn[0], other) for other in drawn[1:])


def test_the_oldest_go_when_the_budget_is_full(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masks, "_PLACES_BYTES", 8 * 4 * 96)
    for seed in range(20):
        make_mask((24, 40), 0.1, seed=seed, name="w")
    assert [key[3] for key in masks._places] == list(range(12, 20))
    make_mask((24, 400), 0.1, seed=0, name="large")
    assert len(masks._places) == 8
