"""`hptransfer run`, `tune` and `fanout`: exit statuses, observers, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import HPTRANSFER, check_refused, status_of

NOTES = """
import json
from hptransfer.execute.observer import Observer

class Notes(Observer):
    def __init__(self):
        self.file = open("notes.jsonl", "a")
    def write(self, what, **facts):
        print(json.dumps({"what": what} | facts), file=self.file, flush=True)
    def started(self, study, uri):
        self.write("started", study=study.name, uri=uri)
    def stored(self, row, curve):
        self.write("stored", trial_id=row["trial_id"], points=len(curve))
    def finished(self, counts, sentence):
        self.write("finished", stored=counts.stored, sentence=sentence)

class Broken:
    started = counted = message = finished = lambda self, *facts: None
    def stored(self, row, curve):
        raise OSError("the tracker is away")

class Half:
    def started(self, study, uri): ...
"""


def told(here: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (here / "notes.jsonl").read_text().splitlines()]


LOCAL = ("--executor", "local", "--no-compile")


def test_an_observer_from_outside_hears_the_start_every_new_row_and_the_verdict(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time every row is there: nothing new to tell."""
    (here / "mine.py").write_text(NOTES)
    for new in (20, 0):
        assert status_of("run", "tiny.yaml", "--observe", "mine:Notes", *LOCAL) == 0
        first, *rows, last = told(here)
        assert first == {"what": "started", "study": "tiny", "uri": "results/tiny"}
        assert [row["what"] for row in rows] == ["stored"] * new
        assert len({row["trial_id"] for row in rows}) == new
        assert all(row["points"] for row in rows)
        assert (last["what"], last["stored"]) == ("finished", 20)
        assert last["sentence"] in capsys.readouterr().out
        assert "supar" in last["sentence"]
        (here / "notes.jsonl").unlink()


def test_an_observer_that_raises_costs_no_row_and_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text(NOTES)
    assert status_of("run", "tiny.yaml", "--observe", "mine:Broken", "--observe", "mine:Notes", *LOCAL) == 0
    said = capsys.readouterr().err
    assert said.count("the observer mine:Broken") == said.count("the tracker is away") == 1
    assert str(here / "mine.py") in said
    assert len(told(here)) == 22


def test_a_failed_run_is_told_to_the_end(here: Path) -> None:
    (here / "mine.py").write_text(NOTES)
    search = "tune={trials: 2, batch: 2, space: {lr: {low: 1e30, high: 1e31}}}"
    assert status_of("tune", "tiny.yaml", "--set", search, "--observe", "mine:Notes", *LOCAL) == 1
    assert [fact["what"] for fact in told(here)] == ["started", "stored", "stored", "finished"]
    assert told(here)[-1]["sentence"] == ""


def test_an_executor_from_outside_runs_the_study(here: Path) -> None:
    (here / "mine.py").write_text(
        "from hptransfer.execute.local import LocalExecutor\n"
        "class Mine(LocalExecutor):\n"
        "    def submit(self, pack):\n"
        "        open('packs', 'a').write('a pack')\n"
        "        super().submit(pack)\n"
    )
    assert status_of("fanout", "tiny.yaml", "--executor", "mine:Mine", "--no-compile") == 0
    assert (here / "packs").read_text().startswith("a pack")


def test_all_diverged_leaves_with_1_and_says_what_to_lower(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = "tune={trials: 2, batch: 2, space: {lr: {low: 1e30, high: 1e31}}}"
    assert status_of("tune", "tiny.yaml", "--set", search, "--executor", "local", "--no-compile") == 1
    assert "proxy trials diverged at every lr from" in capsys.readouterr().err


def test_a_grid_above_its_cap_is_refused_before_anything_is_tuned_and_run_when_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = "tune={trials: 2, batch: 2, finalists: 1, finalist_seeds: 1, space: {lr: {low: 1e-3, high: 1e-2}}}"
    capped = ["run", "tiny.yaml", "--set", search, "--set", "grid.max_trials=3", "--executor", "local", "--no-compile"]
    assert status_of(*capped) == 2
    assert "found '20 trials'; allowed: at most 3 (grid.max_trials)" in capsys.readouterr().err
    assert not (here / "results/tiny/base.json").exists()
    assert status_of(*capped, "--yes", "--set", "grid.lr_multiples=[1,2,4,8]", "--set", "grid.lr=null") == 0


def test_trials_that_fail_leave_with_1_and_a_log(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "breaks.py").write_text(
        "from hptransfer.tasks.models.mlp import MLP\n"
        "class Breaks(MLP):\n"
        "    def forward(self, tokens):\n"
        "        if self.training:\n"
        "            raise KeyError('no such thing')\n"
        "        return super().forward(tokens)\n"
        "def build(width, vocab_size=256):\n"
        "    return Breaks(width=width, vocab_size=vocab_size)\n"
    )
    one = ["--set", "grid.lr=[2^-7]", "--set", "grid.seeds=1", "--set", "grid.densities=[1]"]
    arguments = ["run", "tiny.yaml", "--set", "model.factory=breaks:build", *one, "--executor", "local", "--no-compile"]
    assert status_of(*arguments) == 1
    assert "no such thing" in capsys.readouterr().err
    (log,) = (here / "results" / "tiny" / "failed").iterdir()
    assert "breaks.py" in log.read_text()


def test_ctrl_c_drains_a_second_one_leaves_with_130_and_says_how_to_go_on(here: Path) -> None:
    (here / "mine.py").write_text(NOTES)
    endless = ["--set", "training.steps=10000000", "--set", "grid.lr=[2^-8,2^-7]"]
    command = [HPTRANSFER, "run", "tiny.yaml", *endless, *LOCAL, "--observe", "mine:Notes"]
    running = subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        _read_until("grid 0/", running)
        running.send_signal(signal.SIGINT)
        _read_until("Ctrl-C again leaves at once", running)
        running.send_signal(signal.SIGINT)
        _, rest = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130, rest
    assert "continue with: hptransfer run tiny.yaml --set" in rest
    assert "Traceback" not in rest
    assert [fact["what"] for fact in told(here)] == ["started", "finished"]


def test_the_first_ctrl_c_is_told_to_an_observer_once(here: Path) -> None:
    (here / "mine.py").write_text(NOTES)
    slow = ["--set", "training.steps=2000", "--set", "grid.lr=[2^-8,2^-7]"]
    command = [HPTRANSFER, "run", "tiny.yaml", *slow, *LOCAL, "--observe", "mine:Notes"]
    running = subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        while not (here / "notes.jsonl").exists() or not any(fact["what"] == "stored" for fact in told(here)):
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, rest = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 130, rest
    assert "everything that finished is stored; continue with: hptransfer run tiny.yaml" in rest
    first, *rows, last = told(here)
    assert (first["what"], last["what"], last["sentence"]) == ("started", "finished", "")
    assert [row["what"] for row in rows] == ["stored"] * len(rows)
    assert 0 < len(rows) == last["stored"] < 8


def _read_until(wanted: str, running: subprocess.Popen[str]) -> None:
    assert running.stderr is not None
    said = ""
    while wanted not in said:
        line = running.stderr.readline()
        assert line, said
        said += line


FAULTS = [
    (("run", "tiny.yaml", "--set", "data.source=text", "--set", "data.path=gone"), "data.path: no such file"),
    (("fanout", "tiny.yaml", "--base", "negative.json"), "negative.json: lr: is out of range; found -1"),
    (("run", "tiny.yaml", "--executor", "local", "--address", "a:1"), "the local executor uses no cluster"),
    (("run", "tiny.yaml", "--executor", "local", "--workers", "2"), "the local executor is one process"),
    (("run", "tiny.yaml", "--address", "127.0.0.1:9"), "--address: no Ray answers"),
    (("run", "tiny.yaml", "--executor", "local", "--device", "cuda"), "--device: there is no GPU here"),
    (
        ("run", "tiny.yaml", "--executor", "nope"),
        "no such executor; found 'nope'; allowed: local, ray, tune or",
    ),
    (("run", "tiny.yaml", "--executor", "lokal"), "did you mean 'local'?"),
    (("run", "tiny.yaml", "--executor", "gone:Mine"), "--executor: cannot import the module 'gone'"),
    (("run", "tiny.yaml", "--executor", "mine:Notes"), "an executor is a subclass of hptransfer.execute.base.Executor"),
    (("run", "tiny.yaml", "--observe", "nope"), "no such observer; found 'nope'; allowed: terminal, page or package"),
    (("run", "tiny.yaml", "--observe", "mine:Gone"), "--observe: the module 'mine' has no 'Gone'"),
    (("run", "tiny.yaml", "--observe", "mine:Half"), "message, finished, lacks counted, stored, message, finished"),
    (("run", "tiny.yaml", "--workers", "0"), "Invalid value for '--workers'"),
    (("run", "tiny.yaml", "--results", "prose.txt", "--executor", "local"), "cannot be created; Not a directory"),
    (("run", "tiny.yaml", "--set", "grid.max_trials=3", "--executor", "local"), "the grid is larger than its cap"),
    (("tune", "tiny.yaml", "--executor", "local"), "tune: nothing to search"),
    (("tune", "tiny.yaml", "--set", "tune.sampler=best", "--executor", "local"), "tune.sampler: is not one of"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "negative.json").write_text('{"lr": -1, "init_std": 0.1}')
    (here / "prose.txt").write_text("text\n")
    (here / "mine.py").write_text(NOTES)
    check_refused(arguments, message, capsys)
