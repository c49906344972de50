"""Files that are whole or absent, and the short digests that name what they hold."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["TEMPORARY", "digest_of", "whole_file"]

TEMPORARY = ".tmp-"
"""How the name of a half-written file begins."""


def digest_of(content: str | bytes, digits: int = 64) -> str:
    """The first hexadecimal digits of the SHA-256 of bytes, or of text as UTF-8."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:digits]


@contextmanager
def whole_file(path: Path, *, check: Callable[[bytes], None] | None = None, keep: bool = False) -> Iterator[Path]:
    """A temporary path to write; it becomes `path` when the block ends well, and is gone when it does not.

    A reader never sees half a file, and what is there after the block outlives a power cut. `check` sees the bytes as
    they lie on the disk, before they get their name; `keep` leaves a file of that name that is there already.
    """
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _fsync(folder.parent, os.O_RDONLY)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        yield temporary
        _fsync(temporary, os.O_RDWR)
        if check is not None:
            check(temporary.read_bytes())
        if keep:
            with suppress(FileExistsError):
                os.link(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _fsync(folder, os.O_RDONLY)


def _fsync(path: Path, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
