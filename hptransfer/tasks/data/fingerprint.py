"""Content digests of files; those of large files are remembered, for a worker should not read 20 GB to begin."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

from hptransfer.common.cache import cache_dir
from hptransfer.common.files import digest_of, whole_file

__all__ = ["file_digest"]

LARGE = 64 * 2**20


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes. For a file above 64 MiB the answer is kept under the user's cache folder, by path,
    size and time of change; where that folder cannot be written the file is read each time."""
    stat = os.stat(path)
    if stat.st_size < LARGE:
        return _read(path)
    cache = cache_dir() / "digests" / digest_of(f"{Path(path).resolve()}|{stat.st_size}|{stat.st_mtime_ns}")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        kept = cache.read_text("ascii")
        if re.fullmatch(r"[0-9a-f]{64}", kept):
            return kept
    digest = _read(path)
    with contextlib.suppress(OSError), whole_file(cache) as fresh:
        fresh.write_text(digest, "ascii")
    return digest


def _read(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
