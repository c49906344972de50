"""direct.json as a type."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.direct import DirectCell, direct_cells

CELL: dict[str, Any] = {"rule": "sp", "width": 64, "density": 0.25, "depth": 2, "line": ["a", "b"], "hps": {"lr": 0.01}}


def test_what_is_written_comes_back() -> None:
    cell = DirectCell(**CELL | {"line": ("a", "b")})
    assert direct_cells({"question": "q", "cells": [cell.model_dump(mode="json")]}, "direct.json") == (cell,)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (3, "must hold a list of cells"),
        ([3], "must hold a list of cells"),
        ([{}], "direct.json"),
        ([CELL | {"density": 2}], "density"),
        ([CELL | {"line": [3]}], "line"),
    ],
)
def test_what_is_no_cell_is_refused_by_its_place(cells: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        direct_cells({"cells": cells}, "direct.json")
