"""Sparse products are chosen where they win, once a machine, and the choice is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hptransfer.sparsity import breakeven
from hptransfer.sparsity.breakeven import LayerShape, Timing, choose_products

CPU = torch.device("cpu")
SPARSE = LayerShape(64, 96, 48, 128, "fp32")
"""Density 1/128."""


@pytest.fixture(autouse=True)
def forgotten():
    """Each test is a process of its own."""
    breakeven._timing.cache_clear()
    yield
    breakeven._timing.cache_clear()


def measured_as(monkeypatch: pytest.MonkeyPatch, timing: Timing) -> list[LayerShape]:
    asked: list[LayerShape] = []
    monkeypatch.setattr(breakeven, "measure_layer", lambda shape, device: asked.append(shape) or timing)
    return asked


def test_dense_and_sparse_are_taken_at_their_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = measured_as(monkeypatch, Timing(1.0, 0.1))
    layers = {"up.weight": SPARSE, "down.weight": SPARSE}
    assert choose_products(layers, "dense", CPU, str(tmp_path)) == frozenset()
    assert choose_products(layers, "sparse", CPU, str(tmp_path)) == {"up.weight", "down.weight"}
    assert asked == []


@pytest.mark.parametrize(("sparse", "chosen"), [(0.1, True), (0.65, True), (0.66, False), (2.0, False)])
def test_auto_takes_what_saves_a_third_or_more(monkeypatch, tmp_path: Path, sparse: float, chosen: bool):
    measured_as(monkeypatch, Timing(1.0, sparse))
    assert choose_products({"w": SPARSE}, "auto", CPU, str(tmp_path)) == ({"w"} if chosen else set())


def test_a_shape_is_measured_once_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = measured_as(monkeypatch, Timing(1.0, 0.1))
    layers = {"a": SPARSE, "b": SPARSE, "c": replace(SPARSE, tokens=256)}
    assert choose_products(layers, "auto", CPU, str(tmp_path)) == {"a", "b", "c"}
    assert len(asked) == 2
    breakeven._timing.cache_clear()  # another process, the same folder
    assert choose_products(layers, "auto", CPU, str(tmp_path)) == {"a", "b", "c"}
    assert len(asked) == 2
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".json"]
    assert json.loads(next(tmp_path.iterdir()).read_text()) == {"dense": 1.0, "sparse": 0.1}


def test_another_kernel_is_measured_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = measured_as(monkeypatch, Timing(1.0, 0.1))
    for kernel in (None, SimpleNamespace(path=Path("sparse-1.so")), SimpleNamespace(path=Path("sparse-2.so"))):
        monkeypatch.setattr(breakeven, "load_kernel", lambda kernel=kernel: kernel)
        breakeven._timing.cache_clear()
        choose_products({"w": SPARSE}, "auto", CPU, str(tmp_path))
    assert len(asked) == 3


def test_a_torn_or_unwritable_cache_only_costs_a_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = measured_as(monkeypatch, Timing(1.0, 0.1))
    choose_products({"a": SPARSE}, "auto", CPU, str(tmp_path))
    next(tmp_path.iterdir()).write_text('{"dense": 1.0')
    breakeven._timing.cache_clear()
    assert choose_products({"a": SPARSE}, "auto", CPU, str(tmp_path)) == {"a"}
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert choose_products({"a": SPARSE}, "auto", CPU, str(blocked)) == {"a"}
    assert len(asked) == 3


def test_half_dense_layers_are_not_even_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = measured_as(monkeypatch, Timing(1.0, 0.1))
    assert choose_products({"w": replace(SPARSE, nonzeros=4000)}, "auto", CPU, str(tmp_path)) == frozenset()
    assert asked == []


@pytest.mark.parametrize(("precision", "stack"), [("fp32", 1), ("bf16", 1), ("fp32", 3)])
def test_a_real_measurement_leaves_the_global_random_state_alone(precision, stack: int):
    before = torch.get_rng_state()
    timing = breakeven.measure_layer(replace(SPARSE, precision=precision, stack=stack), CPU)
    assert timing.dense > 0
    assert timing.sparse > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_large_layer_is_stood_in_for_by_a_small_one_of_its_density():
    small = breakeven._shortened(LayerShape(16384, 65536, 16384 * 65536 // 128, 8192, "bf16", stack=64))
    assert (small.out_features, small.in_features, small.nonzeros) == (4096, 4096, 4096 * 4096 // 128)
    assert small.tokens == 99
    assert small.stack == 8


def test_the_first_measurement_of_a_machine_holds_for_all_its_workers(monkeypatch, tmp_path: Path):
    """Two workers that start together measure under each other's load; they must not choose differently."""

    def slower(shape: LayerShape, device: torch.device) -> Timing:
        first = {"dense": 1.0, "sparse": 0.1}
        for path in named:  # the other worker was done a moment ago
            path.write_text(json.dumps(first))
        return Timing(1.0, 0.9)

    measured_as(monkeypatch, Timing(1.0, 0.1))
    choose_products({"w": SPARSE}, "auto", CPU, str(tmp_path))
    named = list(tmp_path.iterdir())
    for path in named:
        path.unlink()
    breakeven._timing.cache_clear()
    monkeypatch.setattr(breakeven, "measure_layer", slower)
    assert choose_products({"w": SPARSE}, "auto", CPU, str(tmp_path)) == {"w"}
