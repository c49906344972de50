"""Where this machine keeps what is costly to make again: compiled programs, the sparse kernel, timings, digests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["cache_dir", "private_temporary_dir"]


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/hptransfer`, by default `~/.cache/hptransfer`.

    A private temporary folder where that cannot be written; PermissionError where even that belongs to others.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "hptransfer")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return private_temporary_dir()


def private_temporary_dir() -> Path:
    """A folder of this user alone below the system's temporary one. Raises PermissionError when it is others' too."""
    folder = Path(tempfile.gettempdir()) / f"hptransfer-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise PermissionError(f"{folder} belongs to others, or others can write it")
    return folder
