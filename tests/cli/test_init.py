"""`hptransfer init`: a study file that loads and plans."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import HPTRANSFER, check_refused, status_of

from hptransfer.drive.load_study import load_study
from hptransfer.study.starter import starter_text, write_starter
from hptransfer.trials.grid import trials_of
from hptransfer.trials.settled import Settled


@pytest.mark.parametrize("factory", ["gpt", "mlp", "mine:build"])
def test_a_starter_loads_and_plans(
    factory: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)
    (here / "mine.py").write_text(
        "from hptransfer.tasks.models.mlp import MLP\ndef build(width):\n    return MLP(width=width)\n"
    )
    assert status_of("init", "new.yaml", "--factory", factory) == 0
    assert capsys.readouterr().out == "Wrote new.yaml. Next: hptransfer plan new.yaml\n"
    study = load_study(here / "new.yaml")
    assert study.name == "new"
    assert study.tune is not None
    trials = trials_of(Settled(study, study.base.hps, "fp32", "d"))
    assert len(trials) == 3 * 5 * 7 * 3  # rules, cells with at least 8 weights per neuron, LRs, seeds
    assert status_of("plan", "new.yaml", "--no-calibrate", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["stored"] == 0
    assert said.err == ""  # no warning about its own settings


def test_a_starter_without_a_name_is_study_yaml(here: Path) -> None:
    assert status_of("init") == 0
    assert load_study(here / "study.yaml").name == "study"


def test_a_text_file_is_found_from_wherever_the_study_lies(here: Path) -> None:
    (here / "text ü.txt").write_text("a text of some length\n" * 200)
    (here / "studies").mkdir()
    write_starter(Path("studies/a b.yaml"), text=Path("text ü.txt"))
    study = load_study(Path("studies/a b.yaml"))
    assert study.name == "a-b"
    assert Path(study.data.path or "").read_text().startswith("a text")
    absolute = starter_text(Path("x.yaml"), text=here / "text ü.txt")
    assert f'path: "{here}/text ü.txt"' in absolute


def test_init_overwrites_only_when_told_and_asks_nothing(here: Path) -> None:
    done = subprocess.run(
        [HPTRANSFER, "init", "tiny.yaml", "--force"],
        cwd=here,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "A study asks one question" in (here / "tiny.yaml").read_text()


FAULTS = [
    (("init", "tiny.yaml"), "tiny.yaml: the file is already there"),
    (("init", "empty"), "empty: is a folder"),
    (("init", "gone/a.yaml"), "gone/a.yaml: cannot write the file"),
    (("init", "b.yaml", "--text", "gone.txt"), "gone.txt: no such text file"),
    (("init", "b.yaml", "--factory", "foo"), "--factory: no such model; found 'foo'"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    check_refused(arguments, message, capsys)
