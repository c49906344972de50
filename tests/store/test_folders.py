"""A folder here or behind a URI: refused in one sentence where it is not one, and written by one driver at a time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hptransfer.common.errors import InputError
from hptransfer.store.folders import open_folder
from hptransfer.store.read_results import read_results
from hptransfer.store.store import Store


def test_a_folder_that_is_not_there_is_refused_for_reading(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such results folder"):
        read_results(str(tmp_path / "nothing"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a folder"):
        Store.open(str(tmp_path / "file"), "s")
    with pytest.raises(InputError, match="nosuch://x"):
        Store.open("nosuch://x/y", "s")


@pytest.mark.parametrize("create", [True, False])
def test_a_uri_without_a_folder_is_refused_before_anything_is_asked_of_a_network(create: bool) -> None:
    for uri in ("s3://", "s3:///results"):
        with pytest.raises(InputError, match=uri):
            Store.open(uri, "s", create=create)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\\udcff.*no name for a folder; allowed: text in UTF-8"):
        open_folder(os.fsdecode(bytes(tmp_path) + b"/r\xff"), create=True)


def test_a_second_writer_is_refused_with_the_first_ones_pid_and_host(uri: str) -> None:
    first, second = Store.open(uri, "s"), Store.open(uri, "s")
    with (
        first.lock(),
        pytest.raises(InputError, match=f"pid {os.getpid()} on host {socket.gethostname()}"),
        second.lock(),
    ):
        pass
    with second.lock():
        pass


def test_a_lock_whose_holder_was_killed_is_taken_over(uri: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store = Store.open(uri, "s")
    store.write_text(".lock", json.dumps({"pid": gone.pid, "host": socket.gethostname()}))
    with store.lock():
        assert json.loads(store.read_text(".lock") or "")["pid"] == os.getpid()


def test_a_lock_without_flock_held_on_another_host_is_refused(tmp_path: Path) -> None:
    store = Store.open(f"fsspec+memory://{tmp_path.name}/t", "s")
    store.write_text(".lock", json.dumps({"pid": 1, "host": "elsewhere"}))
    with pytest.raises(InputError, match=r"pid 1 on host elsewhere.*delete"), store.lock():
        pass


def test_files_are_named_read_moved_and_removed_alike_everywhere(uri: str) -> None:
    folder = open_folder(uri, create=True)
    for name in ("b.json", "failed/a.log", "failed/.hidden"):
        folder.write(name, b"1")
    folder.write("b.json", b"2")
    assert (folder.names(""), folder.names("failed"), folder.names("nowhere")) == (["b.json"], ["failed/a.log"], [])
    assert folder.read("b.json") == b"2"
    folder.move("b.json", "aside/b.json")
    folder.remove("failed/a.log")
    folder.remove("failed/a.log")
    assert (folder.names(""), folder.names("failed"), folder.names("aside")) == ([], [], ["aside/b.json"])
    with pytest.raises(FileNotFoundError):
        folder.read("b.json")


def test_what_a_killed_writer_left_half_written_is_no_file_and_is_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    left = tmp_path / "trials" / ".tmp-half"
    left.touch()
    with (store := Store.open(str(tmp_path), "s")).lock():
        assert store.names("trials") == []
    assert not left.exists()
