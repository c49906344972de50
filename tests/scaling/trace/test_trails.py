"""Origins of features, and who is ahead of whom on the residual stream."""

from __future__ import annotations

import torch

from hptransfer.scaling.trace.trails import Maker, Trail, makers_of, origins_of, stamped


def test_origins_name_the_matrix_and_its_rows_and_what_none_made_is_left_out() -> None:
    origins = torch.cat([stamped(3, torch.arange(2, 5)), torch.tensor([-1]), stamped(0, torch.tensor([9]))])
    trail = Trail(1, 1, origins=(origins,))
    assert origins_of(trail) == {3: [2, 3, 4], 0: [9]}


def test_rows_become_ranges_and_all_of_them_become_none() -> None:
    rows = torch.tensor([0, 1, 2, 5, 6, 9])
    trail = Trail(1, 1, origins=(stamped(0, rows), stamped(1, torch.arange(4))))
    assert makers_of(trail, {0: 10, 1: 4}) == (Maker(0, ((0, 3), (5, 7), (9, 10))), Maker(1))


def test_a_stream_is_ahead_of_a_branch_that_was_computed_from_it() -> None:
    stream = Trail(carries=0b001, past=0b001)
    branch = Trail(carries=0b010, past=0b011)
    other = Trail(carries=0b100, past=0b100)
    assert stream.is_ahead_of(branch)
    assert not branch.is_ahead_of(stream)
    assert not stream.is_ahead_of(other)
    assert not other.is_ahead_of(stream)
