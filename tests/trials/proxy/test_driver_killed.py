"""A real search, killed in its middle: the resumed one proposes and finds exactly what an uninterrupted one does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from search_process import search

from hptransfer.store.store import Store


def stored(folder: Path, name: str) -> int:
    return len(Store.open(str(folder), name).ids())


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_search_killed_with_sigkill_ends_as_if_it_had_not_been(sampler: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    base = search(str(whole), sampler)
    program = Path(__file__).with_name("search_process.py")
    process = subprocess.Popen([sys.executable, str(program), str(killed), sampler])
    deadline = time.monotonic() + 120
    while not killed.is_dir() or stored(killed, f"killed-{sampler}") < 5:
        assert process.poll() is None, "the search ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 5 <= stored(killed, f"killed-{sampler}") < base["trials"]
    assert search(str(killed), sampler) == base
    assert (killed / "tune.json").read_text() == (whole / "tune.json").read_text()
    assert stored(killed, f"killed-{sampler}") == stored(whole, f"killed-{sampler}") == base["trials"]
    assert json.loads((killed / "base.json").read_text()) == base
