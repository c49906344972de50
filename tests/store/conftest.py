"""Where a store may lie."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["local", "object store"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A local path, and an object store behind a pyarrow.fs URI that lives in this process."""
    return str(tmp_path / "s") if request.param == "local" else f"fsspec+memory://{tmp_path.name}/s"
