"""Values as JSON can hold them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest

from hptransfer.common.json_values import plain


def test_numpys_values_become_pythons_and_what_is_not_finite_becomes_null() -> None:
    given = {
        "number": np.float64(0.5),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "missing": math.nan,
        "large": np.inf,
        "list": np.array([1.0, math.nan]),
        7: (1, "a", None),
        "when": datetime(2024, 1, 2, tzinfo=UTC),
    }
    assert json.loads(json.dumps(plain(given))) == {
        "number": 0.5,
        "count": 3,
        "flag": True,
        "missing": None,
        "large": None,
        "list": [1.0, None],
        "7": [1, "a", None],
        "when": "2024-01-02T00:00:00+00:00",
    }


def test_what_json_has_no_place_for_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no place"):
        plain({"a": object()})
