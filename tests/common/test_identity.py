"""What an entry from outside the package is known by."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.common.files import digest_of
from hptransfer.common.seams import identity_of

SOURCE = "class Lion:\n    version = 7\n\nclass Plain:\n    pass\n"


def test_a_version_speaks_first_then_the_source_and_a_built_in_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "known_by.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert identity_of("known_by:Lion") == "version 7"
    assert identity_of("known_by:Plain") == f"source {digest_of(SOURCE, 16)}"
    assert identity_of("adamw") == ""
