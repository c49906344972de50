"""Whatever an operator does to the elements of a tensor it does to their shadows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hptransfer.scaling.trace.moves import KEEPS, MOVES, moved, pieces_of


class Shadowing(TorchDispatchMode):
    """Does every move to a second tensor too."""

    def __init__(self, value: Tensor, shadow: Tensor) -> None:
        super().__init__()
        self.shadows = {id(value): shadow}
        self.kept: list[Tensor] = [value]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        known = {id(t): self.shadows[id(t)] for t in pieces_of(args) if id(t) in self.shadows}
        if name in MOVES and known:
            self.names.add(name)
            for piece, shadow in zip(pieces_of(out), moved(name, func, args, kwargs, out, known), strict=True):
                assert shadow is not None
                self.shadows[id(piece)] = shadow
                self.kept.append(piece)
        return out


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.view(2, 3, 2, 2).transpose(1, 2).flatten(2),
        lambda x: x.permute(2, 0, 1)[1:, :, ::2],
        lambda x: x.split(2, dim=-1)[1],
        lambda x: x.chunk(2, dim=1)[0].squeeze(0),
        lambda x: x.unbind(0)[1].t().contiguous(),
        lambda x: x.unsqueeze(1).expand(2, 5, 3, 4).reshape(10, 3, 4),
        lambda x: x.flip(0).roll(1, 2).repeat(1, 2, 1),
        lambda x: torch.nn.functional.pad(x, (1, 2)),
        lambda x: x.index_select(2, torch.tensor([3, 0])),
        lambda x: x.to(torch.float64).clone().unfold(2, 2, 1),
    ],
)
def test_places_follow_their_elements(move: Any) -> None:
    value = torch.arange(24.0).view(2, 3, 4)
    with Shadowing(value, value.long()) as mode:
        out = move(value)
    assert mode.names
    padded = torch.where(mode.shadows[id(out)] < 0, 0, mode.shadows[id(out)])  # padding is nobody's: -1
    assert torch.equal(padded.to(out), out)


def test_what_is_kept_in_place_is_among_the_moves_or_a_dropout() -> None:
    assert set(KEEPS) - set(MOVES) == {"dropout", "native_dropout"}


def test_an_index_that_nobody_knows_gives_all_rows_that_there_are() -> None:
    origins = torch.tensor([[7, 8, 9]]).expand(4, 3)
    meta, index = torch.empty(4, 3, device="meta"), torch.empty(6, dtype=torch.long, device="meta")
    out = meta.index_select(0, index)
    select = torch.ops.aten.index_select.default
    (found,) = moved("index_select", select, (meta, 0, index), {}, out, {id(meta): origins})
    assert found is not None
    assert found.shape == (6, 3)
    assert set(found.unique().tolist()) == {7, 8, 9}
