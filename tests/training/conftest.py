"""What tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hptransfer.training.program_cache import forget_programs


@pytest.fixture
def no_programs_left() -> Iterator[None]:
    """Programs of a test are not found by the next one, nor are their tensors kept."""
    yield
    forget_programs()
