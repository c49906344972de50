"""A file is whole or absent, whatever happens while it is written; a digest is the start of the SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hptransfer.common.files import digest_of, whole_file


def test_a_digest_is_the_start_of_the_sha256_of_the_bytes() -> None:
    assert digest_of(b"abc", 16) == "ba7816bf8f01cfea"
    assert digest_of("abc") == digest_of(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert digest_of("μP", 8) == digest_of("μP".encode(), 8)


def test_what_the_block_wrote_gets_the_name_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    with whole_file(path) as temporary:
        temporary.write_text("1")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]
    with whole_file(path) as temporary:
        temporary.write_text("2")
    assert path.read_text() == "2"


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


def test_a_check_that_refuses_the_bytes_changes_nothing(tmp_path: Path) -> None:
    def refuse(found: bytes) -> None:
        raise ValueError(found.decode())

    with pytest.raises(ValueError, match="new"), whole_file(tmp_path / "a", check=refuse) as temporary:
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == []


def test_keep_leaves_the_first(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with whole_file(tmp_path / "a", keep=True) as temporary:
            temporary.write_text(text)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "first")]
