"""What lies along the dimensions of an activation, and of a parameter that it is multiplied with."""

from __future__ import annotations

import torch

from hptransfer.scaling.trace.lines import feature_line, mixed, outputs, varying
from hptransfer.scaling.trace.trails import Trail, Weight, stamped

OF_THREE = stamped(7, torch.arange(3))
"""Three outputs of the matrix with number 7."""


def weight(*sizes: int) -> Weight:
    places = torch.meshgrid(*(torch.arange(n) for n in sizes), indexing="ij")
    return Weight(0, tuple(places), sizes)


def test_origins_have_a_line_of_features_where_they_are_the_same_at_every_place() -> None:
    assert torch.equal(feature_line(OF_THREE.expand(2, 4, 3)), OF_THREE)
    assert feature_line(OF_THREE.view(3, 1).expand(3, 4)) is None


def test_a_product_that_mixes_places_leaves_features_what_they_are_on_either_side() -> None:
    weights, made = Trail(1, 1), Trail(2, 2, origins=(OF_THREE.expand(2, 5, 3),))
    out = torch.empty(2, 4, 3)
    assert torch.equal(mixed(weights, made, out)[0], OF_THREE.expand(2, 4, 3))
    turned = Trail(4, 4, origins=(OF_THREE.view(3, 1).expand(2, 3, 5),))
    assert torch.equal(mixed(turned, weights, out.mT)[0], OF_THREE.view(3, 1).expand(2, 3, 4))
    assert mixed(made, turned, torch.empty(2, 5, 5)) == ()  # scores of features with features
    assert mixed(made, weights, torch.empty(2, 5, 6)) == ()  # it sums over the features


def test_a_stack_of_matrices_tells_its_outputs_and_what_is_summed_over() -> None:
    stack = weight(4, 8, 16)
    rows, size = outputs(stack, -1)
    assert (size, rows.tolist()) == (16, list(range(16)))
    assert (varying(stack, -2), varying(stack, -1)) == ((1,), (2,))
