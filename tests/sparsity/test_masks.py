"""Masks have exact counts and depend on (seed, tensor name) alone."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hptransfer.common.errors import InputError
from hptransfer.sparsity.masks import empty_rows, layer_densities, make_mask, nonzero_count


def masked(shape, density, *, kind="random", out_dims=(0,), seed=0, name="w"):
    """A mask of the count that the density comes to."""
    count = nonzero_count(shape, density, kind=kind, out_dims=out_dims, name=name)
    return make_mask(shape, count, kind=kind, seed=seed, name=name, out_dims=out_dims)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.001, 1), st.integers(0, 5))
@settings(max_examples=60)
def test_random_has_exactly_the_rounded_count(rows, columns, density, seed):
    mask = masked((rows, columns), density, seed=seed, name="w")
    assert int(mask.sum()) == max(1, round(density * rows * columns)) == nonzero_count((rows, columns), density)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.001, 1))
@settings(max_examples=60)
def test_row_has_the_same_count_in_every_output(rows, columns, density):
    mask = masked((rows, columns), density, kind="row", seed=0, name="w")
    assert mask.sum(1).tolist() == [max(1, round(density * columns))] * rows
    assert empty_rows(mask) == 0


@pytest.mark.parametrize(("keep", "of"), [(2, 4), (1, 4), (1, 8), (3, 5)])
def test_n_of_m_along_the_input(keep, of):
    mask = masked((6, of * 7), keep / of, kind=f"{keep}:{of}", seed=0, name="w")
    assert set(mask.view(6, 7, of).sum(-1).flatten().tolist()) == {keep}


def test_outputs_need_not_be_the_first_dimension():
    mask = masked((32, 5), 0.25, kind="row", seed=0, name="w", out_dims=(1,))
    assert mask.sum(0).tolist() == [8] * 5
    kernel = masked((4, 3, 2, 2), 0.25, kind="row", seed=0, name="k")
    assert kernel.flatten(1).sum(1).tolist() == [3] * 4
    experts = masked((3, 4, 8), 0.5, kind="2:4", seed=0, name="e", out_dims=(0, 1))
    assert experts.sum(-1).unique().tolist() == [4]


def test_nothing_but_seed_and_name_matters():
    first = masked((64, 64), 0.25, seed=3, name="a")
    torch.manual_seed(99)
    torch.rand(5)
    assert torch.equal(first, masked((64, 64), 0.25, seed=3, name="a"))
    assert not torch.equal(first, masked((64, 64), 0.25, seed=4, name="a"))
    assert not torch.equal(first, masked((64, 64), 0.25, seed=3, name="b"))


def test_another_process_draws_the_same_mask():
    code = (
        "from hptransfer.sparsity.masks import make_mask;"
        "print(make_mask((8, 8), 16, seed=3, name='a').flatten().nonzero().flatten().tolist())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = masked((8, 8), 0.25, seed=3, name="a").flatten().nonzero().flatten().tolist()
    assert said.strip() == str(here)


@pytest.mark.parametrize("kind", ["random", "row"])
def test_a_sparser_mask_is_part_of_a_denser_one(kind):
    dense, sparse = (masked((32, 32), p, kind=kind, seed=0, name="a") for p in (0.5, 0.125))
    assert bool((sparse <= dense).all())


def test_positions_are_uniform():
    kept = sum(masked((8, 8), 0.25, seed=s, name="a").float() for s in range(800)) / 800
    assert kept.mean() == pytest.approx(0.25)
    assert float((kept - 0.25).abs().max()) < 5 * (0.25 * 0.75 / 800) ** 0.5


def test_erk_by_hand():
    """Σdims/Πdims: 20/100 and 40/300 → in proportion 3 : 2, weighted by size 100·3 + 300·2 = 900 to 0.3 · 400 = 120."""
    densities = layer_densities({"a": (10, 10), "b": (10, 30)}, 0.3, "erk")
    assert densities == {"a": pytest.approx(0.4), "b": pytest.approx(0.8 / 3)}


def test_erk_keeps_the_total_when_a_layer_fills_up():
    shapes = {"small": (4, 4), "large": (200, 200), "middle": (100, 50)}
    densities = layer_densities(shapes, 0.2, "erk")
    assert densities["small"] == 1.0
    total = sum(densities[n] * s[0] * s[1] for n, s in shapes.items())
    assert total == pytest.approx(0.2 * (16 + 40_000 + 5_000))


def test_uniform_and_dense():
    assert layer_densities({"a": (2, 2)}, 0.25, "uniform") == {"a": 0.25}
    assert layer_densities({"a": (2, 2)}, 1.0, "erk") == {"a": 1.0}


def test_empty_rows_are_counted():
    mask = torch.tensor([[True, False], [False, False], [False, False]])
    assert empty_rows(mask) == 2
    assert empty_rows(mask, (1,)) == 1


@pytest.mark.parametrize(
    ("density", "kind", "message"),
    [
        (0.0, "random", "above 0, at most 1"),
        (1.5, "random", "above 0, at most 1"),
        (float("nan"), "row", "above 0, at most 1"),
        (0.25, "2:4", "has density 0.5"),
        (0.5, "4:2", "random, row, n:m"),
        (0.5, "block", "random, row, n:m"),
        (0.2, "1:5", "a multiple of 5"),
    ],
)
def test_what_cannot_be_is_refused(density, kind, message):
    with pytest.raises(InputError, match=message):
        masked((4, 8), density, kind=kind, seed=0, name="w")


@pytest.mark.parametrize(
    ("count", "kind", "message"),
    [
        (0, "random", r"found 0; allowed: 1 to 32"),
        (33, "random", r"found 33; allowed: 1 to 32"),
        (9, "row", r"no row mask has this many weights; found 9; allowed: a multiple of 4, up to 32"),
        (8, "2:4", r"found 8; allowed: 16 or 32"),
    ],
)
def test_a_count_that_a_kind_cannot_have_is_refused(count, kind, message):
    with pytest.raises(InputError, match=message):
        make_mask((4, 8), count, kind=kind, seed=0, name="w")


@pytest.mark.parametrize(
    ("kind", "count", "places"),
    [
        ("random", 8, [4, 6, 7, 12, 16, 29, 30, 31]),
        ("row", 8, [6, 7, 8, 14, 20, 21, 25, 27]),
        ("2:4", 16, [1, 3, 6, 7, 8, 10, 12, 14, 17, 18, 20, 21, 25, 27, 30, 31]),
    ],
)
def test_a_mask_is_the_one_that_stored_rows_were_trained_with(kind, count, places):
    mask = make_mask((4, 8), count, kind=kind, seed=3, name="a")
    assert mask.flatten().nonzero().flatten().tolist() == places


def test_unknown_distribution_is_refused():
    with pytest.raises(InputError, match="uniform, erk"):
        layer_densities({"a": (2, 2)}, 0.5, "er")
