"""The digest of a large file is remembered, and forgotten when the file changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hptransfer.tasks.data.fingerprint import file_digest


def test_the_digest_of_a_large_file_is_kept_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    large = tmp_path / "large.bin"
    with open(large, "wb") as file:
        file.truncate(65 * 2**20)
    digest = file_digest(large)
    (kept,) = (tmp_path / "cache" / "hptransfer" / "digests").iterdir()
    assert kept.read_text() == digest
    kept.write_text("f" * 64)
    assert file_digest(large) == "f" * 64
    os.utime(large, ns=(0, 0))
    assert file_digest(large) == digest
