"""Parameters of equal width lie in one sheet, and come out of it as they went in."""

from __future__ import annotations

import torch

from hptransfer.training.layout import TensorShape, make_layout

SHAPES = (
    TensorShape("embed", (7, 4), 28, False),
    TensorShape("up", (8, 4), 16, True),
    TensorShape("down", (4, 8), 16, True),
    TensorShape("gain", (4,), 4, False),
    TensorShape("conv", (2, 3, 5), 30, False),
)


def tensors() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {shape.name: torch.randn(shape.shape, generator=draw) for shape in SHAPES}


def test_sheets_are_made_by_number_of_columns() -> None:
    layout = make_layout(SHAPES)
    assert layout.sheets == ((7 + 8 + 1, 4), (4, 8), (2, 15))
    assert layout.masked == (True, True, False)


def test_views_undo_gather() -> None:
    layout = make_layout(SHAPES)
    given = tensors()
    views = layout.views(layout.gather(given))
    assert all(torch.equal(views[name], given[name]) for name in given)


def test_values_are_a_row_of_their_own_and_need_no_mask() -> None:
    layout = make_layout(SHAPES, as_values={"up", "down"})
    assert layout.sheets == ((8, 4), (2, 16), (2, 15))
    assert layout.masked == (False, False, False)
    assert layout.as_values == {"up": 16, "down": 16}


def test_numbers_and_masks_reach_the_rows_of_their_tensor() -> None:
    layout = make_layout(SHAPES)
    columns = layout.spread({"embed": 1.0, "up": 2.0, "down": 3.0, "gain": 4.0, "conv": 5.0})
    assert columns[0].flatten().tolist() == [1.0] * 7 + [2.0] * 8 + [4.0]
    mask = torch.zeros(8, 4, dtype=torch.bool)
    first, second = layout.masks({"up": mask, "down": None, "embed": None, "gain": None, "conv": None})
    assert not first[7:15].any()
    assert first[:7].all()
    assert first[15].all()
    assert second.all()


def test_each_optimizer_has_sheets_of_its_own() -> None:
    shapes = (*SHAPES[:2], TensorShape("other", (6, 4), 24, False, optimizer=1), *SHAPES[2:])
    layout = make_layout(shapes)
    assert layout.sheets == ((7 + 8 + 1, 4), (6, 4), (4, 8), (2, 15))
    assert layout.optimizers == (0, 1, 0, 0)


def test_a_whole_matrix_has_a_sheet_to_itself() -> None:
    pair = [TensorShape(name, (8, 4), 16, True, optimizer=1, whole=True) for name in ("a", "b")]
    layout = make_layout([SHAPES[0], *pair, SHAPES[3]])
    assert layout.sheets == ((7 + 1, 4), (8, 4), (8, 4))
    assert layout.optimizers == (0, 1, 1)
    assert layout.masked == (False, True, True)


def test_a_mask_is_seen_where_its_tensor_is() -> None:
    layout = make_layout(SHAPES)
    given = {"up": torch.arange(32).view(8, 4) % 2 == 0, "down": torch.arange(32).view(4, 8) % 3 == 0}
    views = layout.mask_views(layout.masks(given))
    assert set(views) == {"embed", "up", "gain", "down"}
    assert all(torch.equal(views[name], mask) for name, mask in given.items())
