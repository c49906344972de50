"""How a tensor grew, by hand."""

from __future__ import annotations

from hptransfer.scaling.dimensions import FeatureDims
from hptransfer.scaling.facts import TensorFacts, Use


def facts(shape: tuple[int, ...], base_shape: tuple[int, ...], dims: FeatureDims) -> TensorFacts:
    return TensorFacts("w", "hidden", shape, base_shape, dims, "normal", (Use("w", "hidden"),))


def test_a_matrix_grows_by_its_inputs_and_its_outputs() -> None:
    fact = facts((64, 32), (16, 16), FeatureDims(out=(0,), inp=(1,)))
    assert (fact.fan_in, fact.width, fact.width_out) == (32, 2.0, 4.0)


def test_the_inputs_of_a_kernel_are_its_channels_times_its_places() -> None:
    fact = facts((8, 4, 3, 3), (4, 2, 3, 3), FeatureDims(out=(0,), inp=(1, 2, 3)))
    assert (fact.fan_in, fact.width, fact.width_out) == (36, 2.0, 2.0)


def test_a_vector_has_one_input() -> None:
    fact = facts((32,), (8,), FeatureDims(out=(0,), inp=()))
    assert (fact.fan_in, fact.width, fact.width_out) == (1, 1.0, 4.0)
