"""Numbers as people read them."""

from __future__ import annotations

import pytest

from hptransfer.common.number_text import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0s"),
        (59, "59s"),
        (60, "1m 00s"),
        (7625, "2h 07m"),
        (3 * 86400 + 4 * 3600, "3d 04h"),
        (920 * 86400, "2y 190d"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
