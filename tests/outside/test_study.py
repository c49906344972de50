"""A study that names an entry of every seam, none of them of this package, on the command line from end to end.

The lab is copied to a folder of the test's own, where its files may change; hptransfer itself does not.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from hptransfer import read_results

HERE = Path(__file__).parent
OUTSIDE = ["--executor", "outside_lab.executor:Subprocesses", "--observe", "outside_lab.observer:JsonLines"]
GRID = 2 * 2 * 5 * 2
"""Widths × densities × temperatures × seeds."""
TUNED = 2 + 2
"""Trials of the search, and fresh seeds of its finalist."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's folder, to stand in."""
    return copy_of_the_lab(tmp_path_factory.mktemp("lab"))


def copy_of_the_lab(folder: Path) -> Path:
    shutil.copytree(HERE / "outside_lab", folder / "outside_lab", ignore=shutil.ignore_patterns("__pycache__"))
    for study in HERE.glob("*.yaml"):
        shutil.copy(study, folder)
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hptransfer", *arguments]


def hptransfer(lab: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """The command line in the lab's folder; the lab finds its modules there."""
    done = subprocess.run(command(*arguments), cwd=lab, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows_of(lab: Path, results: str) -> pd.DataFrame:
    return read_results(str(lab / results)).set_index("trial_id", drop=False).sort_index()


@pytest.fixture(scope="module")
def undisturbed(lab: Path) -> pd.DataFrame:
    """The rows of the study as it comes out when nothing happens to it, in this lab's own process."""
    hptransfer(lab, "run", "lab.yaml", "--executor", "local", "--no-compile", "--results", "calm")
    return rows_of(lab, "calm/lab")


@pytest.fixture(scope="module")
def killed(lab: Path) -> tuple[int, subprocess.CompletedProcess[str]]:
    """The study with its driver killed once some rows were stored, and run again: rows then, and what it said."""
    run = command("run", "lab.yaml", *OUTSIDE, "--no-compile", "--workers", "2")
    driver = subprocess.Popen(run, cwd=lab, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 200
    try:
        while len(list((lab / "results/lab/trials").glob("*.parquet"))) < 2:
            assert driver.poll() is None, driver.communicate()[1]
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    stored = len(rows_of(lab, "results/lab"))
    return stored, hptransfer(lab, *run[3:])


def test_killed_and_run_again_it_comes_to_the_same_rows_and_loses_none(
    lab: Path, killed: tuple[int, subprocess.CompletedProcess[str]], undisturbed: pd.DataFrame
) -> None:
    stored, _ = killed
    rows = rows_of(lab, "results/lab")
    assert 0 < stored < len(rows)
    assert rows["trial_id"].is_unique
    assert len(rows) == GRID + TUNED
    columns = ["trial_id", "status", "loss", "task", "optimizer", "sparsity_method", "axes", "trainer", "data_id"]
    pd.testing.assert_frame_equal(rows[columns], undisturbed[columns], check_exact=False, rtol=1e-6)


def test_every_row_says_which_entries_it_came_from_and_which_versions(lab: Path, undisturbed: pd.DataFrame) -> None:
    assert set(undisturbed["task"]) == {"outside_lab.task:Parity"}
    assert set(undisturbed["optimizer"]) == {"outside_lab.optimizer:Lion"}
    assert set(undisturbed["sparsity_method"]) == {"outside_lab.method:Band"}
    grid = undisturbed[undisturbed["phase"] == "grid"]
    temperatures = {json.loads(axes)["outside_lab.axis:Temperature"] for axes in grid["axes"]}
    assert temperatures == {0.25, 0.5, 1.0, 2.0, 4.0}
    for entries in grid["entries"]:
        assert (
            json.loads(entries).items()
            >= {
                "outside_lab.task:Parity": "version 1",
                "outside_lab.optimizer:Lion": "version 1",
                "outside_lab.method:Band": "version 1",
                "outside_lab.axis:Temperature": "version 1",
            }.items()
        )
    sparse = grid[grid["density"] == 0.5]
    assert len(sparse) == GRID // 2
    assert (sparse["params_nonzero"] < sparse["params"]).all()


def test_the_observer_was_told_of_every_row_once(
    lab: Path, killed: tuple[int, subprocess.CompletedProcess[str]]
) -> None:
    told = [json.loads(line) for line in (lab / "results/lab/events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in told].count("started") == 2
    assert told[-1]["event"] == "finished"
    rows = rows_of(lab, "results/lab")
    stored = [event["trial_id"] for event in told if event["event"] == "stored"]
    assert len(stored) == len(set(stored))
    again = next(i for i, event in enumerate(told) if i and event["event"] == "started")
    after = [event["trial_id"] for event in told[again:] if event["event"] == "stored"]
    assert len(after) == len(rows) - killed[0]
    assert set(stored) <= set(rows["trial_id"])


def test_it_is_judged_on_the_labs_own_axis(lab: Path, killed: tuple[int, subprocess.CompletedProcess[str]]) -> None:
    verdicts = json.loads(hptransfer(lab, "verdict", "results/lab", "--json").stdout)
    assert {(verdict["rule"], verdict["axis"]) for verdict in verdicts} == {("supar", "density"), ("supar", "width")}
    assert {verdict["swept"] for verdict in verdicts} == {"outside_lab.axis:Temperature"}
    assert all(verdict["verdict"] in ("STABLE", "DRIFT", "INCONCLUSIVE") and verdict["why"] for verdict in verdicts)
    report = (lab / "results/lab/report.html").read_text()
    assert "temperature" in report
    assert "nats per label" in report


def test_once_finished_it_starts_nothing(lab: Path, killed: tuple[int, subprocess.CompletedProcess[str]]) -> None:
    before = len(rows_of(lab, "results/lab"))
    plan = json.loads(hptransfer(lab, "plan", "lab.yaml", "--no-calibrate", "--json").stdout)
    assert (plan["planned"], plan["stored"]) == (before, before)


def test_another_version_is_another_trial(
    lab: Path, killed: tuple[int, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    other = copy_of_the_lab(tmp_path)
    replace(other / "outside_lab/optimizer.py", 'version = "1"', 'version = "2"')
    told = hptransfer(other, "plan", "lab.yaml", "--no-calibrate", "--json", "--results", str(lab / "results"))
    plan = json.loads(told.stdout)
    assert plan["stored"] == 0
    assert plan["planned"] > 0


def test_a_function_is_a_trainer_and_a_change_of_its_source_is_told(tmp_path: Path) -> None:
    lab = copy_of_the_lab(tmp_path)
    run = ["run", "function.yaml", "--executor", "local", "--no-compile"]
    hptransfer(lab, *run)
    rows = rows_of(lab, "results/function")
    assert len(rows) == 2 * 2 * 5 * 2  # rules × widths × LRs × seeds
    assert set(rows["trainer"]) == {"outside_lab.trainer:train"}
    assert set(rows["status"]) == {"ok"}
    verdicts = json.loads(hptransfer(lab, "verdict", "results/function", "--json").stdout)
    assert {verdict["rule"] for verdict in verdicts} == {"sp", "mup"}
    replace(lab / "outside_lab/trainer.py", "torch.sin(x", "torch.cos(x")
    said = hptransfer(lab, *run, status=2).stderr
    assert "outside_lab.trainer:train has changed since 40 stored trials were run with it" in said
    assert str(lab / "outside_lab/trainer.py") in said
    hptransfer(lab, *run, "--same-numbers")
    pd.testing.assert_frame_equal(rows_of(lab, "results/function"), rows)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


LOSS = "def loss(self, output"
PUT = "return trial.model_copy("


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("task.py", LOSS, "def cost(self, output", "lacks loss"),
        (
            "axis.py",
            "        return trial.model_copy(",
            "        return options or trial.model_copy(",
            "`put` gives back",
        ),
        ("method.py", ":count]] = True", ":count + 1]] = True", "weights kept"),
        ("optimizer.py", "direction, m", "direction", "the parameter and its moments"),
        ("observer.py", "def counted", "def counts", "lacks counted"),
        ("executor.py", "def submit", "def take", "lacks submit"),
    ],
)
def test_an_entry_that_breaks_its_contract_is_one_message_that_says_which_rule_and_from_which_file(
    file: str, old: str, new: str, says: str, tmp_path: Path
) -> None:
    lab = copy_of_the_lab(tmp_path)
    replace(lab / "outside_lab" / file, old, new)
    few = ["--set", "tune=null", "--set", "grid.widths=[16]", "--set", "grid.densities=[1/2]", "--set", "grid.seeds=1"]
    done = hptransfer(lab, "run", "lab.yaml", *OUTSIDE, "--no-compile", *few, status=2)
    assert "breaks the contract of its seam" in done.stderr
    assert says in done.stderr
    assert str(lab / "outside_lab" / file) in done.stderr
