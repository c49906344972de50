"""A folder of files, on this machine or behind any `pyarrow.fs` URI, with the few verbs the store needs.

Every write is whole or absent: a reader never sees half a file, whatever happens to the writer.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
from pyarrow import fs

from hptransfer.common.errors import InputError, WorkError
from hptransfer.common.files import TEMPORARY, whole_file

try:
    import fcntl
except ImportError:  # a platform without flock, where the lock file's contents decide
    fcntl = None  # type: ignore[assignment]

__all__ = ["Folder", "NoFolderError", "is_local", "open_folder"]

LOCK_NAME = ".lock"
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "a file grew too large"}


def open_folder(uri: str, *, create: bool) -> Folder:
    """The folder at a local path, a `file://` URI or any URI that `pyarrow.fs` understands.

    Without `create` a folder that is not there is refused.
    """
    if any("\ud800" <= c <= "\udfff" for c in uri):  # bytes that are no text: neither Arrow nor a report can hold them
        raise InputError("is no name for a folder", where=ascii(uri), allowed="text in UTF-8")
    parsed = urlparse(uri)
    if "://" not in uri or parsed.scheme == "file":
        path = Path(unquote(parsed.path) if parsed.scheme == "file" else uri).absolute()
        return LocalFolder(path, create=create)
    try:
        filesystem, path_in_it = fs.FileSystem.from_uri(uri)
        path_in_it = path_in_it.rstrip("/")
        if not path_in_it:  # `s3://` is all buckets at once
            raise InputError("names no folder", where=uri, allowed="a URI with a path, such as s3://bucket/results")
        return Folder(uri.rstrip("/"), filesystem, path_in_it, create=create)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, ImportError, OSError) as error:
        raise InputError("cannot be opened", where=uri, hint=str(error).splitlines()[0]) from None


def is_local(uri: str) -> bool:
    """Whether a folder's own `uri` is a path on this machine, where any program may write."""
    return "://" not in uri


class NoFolderError(InputError):
    """A results folder that was to be opened, not created, is not there."""


class Folder:
    """A folder behind `pyarrow.fs`. Names inside are relative and use `/`.

    The lock is best effort: such stores have no atomic create.
    """

    def __init__(self, uri: str, filesystem: fs.FileSystem, path: str, *, create: bool) -> None:
        self.uri, self.filesystem, self.path = uri, filesystem, path
        if create:
            with _explained(uri):
                filesystem.create_dir(path, recursive=True)
        elif filesystem.get_file_info(path).type != fs.FileType.Directory:
            raise NoFolderError("there is no such results folder", where=uri)

    def holder(self) -> str:
        """The driver that holds the lock, in words; empty when nobody does."""
        try:
            owner = _owner(self.read(LOCK_NAME))
        except FileNotFoundError:
            return ""
        return _who(owner) if _holds(owner) else ""

    def path_of(self, name: str) -> str:
        """Full path or URI of a file inside."""
        path, mark, query = self.uri.partition("?") if not is_local(self.uri) else (self.uri, "", "")
        return f"{path}/{name}{mark}{query}"

    def names(self, subfolder: str) -> list[str]:
        """Sorted names (with the subfolder) of the finished files in a subfolder, "" for the folder itself.

        Empty when it is not there.
        """
        selector = fs.FileSelector(self._at(subfolder), allow_not_found=True)
        found = [info.base_name for info in self.filesystem.get_file_info(selector) if info.type == fs.FileType.File]
        return _finished(subfolder, found)

    def read(self, name: str) -> bytes:
        """Contents; raises FileNotFoundError."""
        with self.filesystem.open_input_stream(self._at(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, data: bytes, check: Callable[[bytes], None] | None = None) -> None:
        """Write whole or not at all. `check` sees the bytes as they lie on the disk, before they get their name."""
        folder = name.rpartition("/")[0]
        temporary = f"{folder}/{TEMPORARY}{uuid.uuid4().hex}".lstrip("/")
        with _explained(self.path_of(name)):
            self.filesystem.create_dir(self._at(folder), recursive=True)
            with self.filesystem.open_output_stream(self._at(temporary)) as stream:
                stream.write(data)
            if check is not None:
                check(self.read(temporary))
            self.filesystem.move(self._at(temporary), self._at(name))

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when it is not there."""
        if self.filesystem.get_file_info(self._at(name)).type == fs.FileType.File:
            self.filesystem.delete_file(self._at(name))

    def move(self, name: str, to: str) -> None:
        """Give a file another name."""
        self.filesystem.create_dir(self._at(to).rpartition("/")[0], recursive=True)
        self.filesystem.move(self._at(name), self._at(to))

    def lock(self) -> Callable[[], None]:
        """Become the only writer, or raise InputError naming the present one. Returns what releases the lock."""
        with _explained(self.uri):
            with suppress(FileNotFoundError):
                _refuse_unless_stale(_owner(self.read(LOCK_NAME)), self.uri, self.path_of(LOCK_NAME))
            claim = _claim()
            self.write(LOCK_NAME, claim)
            if (now := self.read(LOCK_NAME)) != claim:  # another driver wrote at the same moment
                _refuse_unless_stale(_owner(now), self.uri, self.path_of(LOCK_NAME))
        return lambda: self.remove(LOCK_NAME)

    def clean(self) -> None:
        """Remove what a killed writer left half written. Only for the holder of the lock."""
        selector = fs.FileSelector(self.path, allow_not_found=True, recursive=True)
        for info in self.filesystem.get_file_info(selector):
            if info.type == fs.FileType.File and info.base_name.startswith(TEMPORARY):
                self.filesystem.delete_file(info.path)

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}".rstrip("/")


class LocalFolder(Folder):
    """A folder on a file system of this machine: what is written outlives a power cut, a lock not even its holder."""

    def __init__(self, path: Path, *, create: bool) -> None:
        here = Path.cwd()  # what a person reads, and what a report keeps, names no more of this machine than it must
        if not path.is_dir():
            if path.exists():
                raise InputError("is not a folder", where=str(path))
            if not create:
                raise NoFolderError("there is no such results folder", where=str(path))
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError("cannot be created", where=str(path), hint=error.strerror or "") from None
        uri = str(path.relative_to(here) if path.is_relative_to(here) and path != here else path)
        super().__init__(uri, fs.LocalFileSystem(), str(path), create=False)

    def names(self, subfolder: str) -> list[str]:
        with suppress(FileNotFoundError), os.scandir(Path(self.path, subfolder)) as entries:
            return _finished(subfolder, [entry.name for entry in entries if entry.is_file()])
        return []

    def read(self, name: str) -> bytes:
        return Path(self.path, name).read_bytes()

    def write(self, name: str, data: bytes, check: Callable[[bytes], None] | None = None) -> None:
        with _explained(self.path_of(name)), whole_file(Path(self.path, name), check=check) as temporary:
            temporary.write_bytes(data)

    def clean(self) -> None:
        for folder in (Path(self.path), *(p for p in Path(self.path).iterdir() if p.is_dir())):
            for leftover in folder.glob(f"{TEMPORARY}*"):
                leftover.unlink(missing_ok=True)

    def lock(self) -> Callable[[], None]:
        """`flock` on `.lock`: the kernel lets go of it when its holder dies, so a stale one is taken over at once."""
        path = Path(self.path, LOCK_NAME)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError("cannot be written", where=self.uri, hint=error.strerror or "") from None
        try:
            _flock(handle, path, self.uri)
            with _explained(str(path)):
                os.ftruncate(handle, 0)
                os.pwrite(handle, _claim(), 0)
        except BaseException:
            os.close(handle)
            raise

        def release() -> None:
            # Emptied, not removed: removing would let two later drivers lock two different files of one name.
            os.ftruncate(handle, 0)
            os.close(handle)

        return release


def _finished(subfolder: str, names: list[str]) -> list[str]:
    return sorted(f"{subfolder}/{name}".lstrip("/") for name in names if not name.startswith("."))


def _flock(handle: int, path: Path, uri: str) -> None:
    try:
        if fcntl is None:
            raise OSError
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _locked(_owner(path.read_bytes()), uri) from None
    except OSError:  # a platform or a file system without flock
        _refuse_unless_stale(_owner(path.read_bytes()), uri, path)


def _claim() -> bytes:
    claim = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat()}
    return json.dumps(claim | {"token": uuid.uuid4().hex}).encode()


def _owner(data: bytes) -> dict[str, Any]:
    """Who holds a lock; empty when the file says nothing readable (released, or killed while writing it)."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _holds(owner: dict[str, Any]) -> bool:
    """Whether a lock's owner still has it: one that died on this machine has let go."""
    return bool(owner) and (owner.get("host") != socket.gethostname() or _alive(int(owner.get("pid", 0))))


def _refuse_unless_stale(owner: dict[str, Any], uri: str, lock: object) -> None:
    if _holds(owner):
        raise _locked(owner, uri, hint=f"if that driver is gone, delete {lock}")


def _locked(owner: dict[str, Any], uri: str, hint: str = "") -> InputError:
    hint = hint or "wait for it to end, or use another results folder"
    return InputError(f"another driver is writing to this store: {_who(owner)}", where=uri, hint=hint)


def _who(owner: dict[str, Any]) -> str:
    return f"pid {owner.get('pid', 'unknown')} on host {owner.get('host', 'unknown')} since {owner.get('since', '?')}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn a failed write into one sentence: what is stored already is safe, and what to do."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        why = _FULL.get(error.errno or 0, error.strerror or str(error))
        raise WorkError(
            f"{where}: could not be written: {why}. Everything stored before is intact; make room and run again."
        ) from error
