"""Where this machine keeps what is costly to make again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from hptransfer.common.cache import cache_dir, private_temporary_dir


def test_it_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_dir() == tmp_path / "cache" / "hptransfer"
    assert cache_dir().is_dir()


def test_where_nothing_can_be_written_it_is_a_private_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cache_dir() == tmp_path / f"hptransfer-{os.getuid()}"
    assert cache_dir().stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_that_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"hptransfer-{os.getuid()}").mkdir()
    (tmp_path / f"hptransfer-{os.getuid()}").chmod(0o777)
    with pytest.raises(PermissionError, match="others can write it"):
        private_temporary_dir()
