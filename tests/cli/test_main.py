"""The command line: help that reads as a manual, examples that parse, one message and the right status for every fault.

Nearly all of it runs in this process through `main`, the function behind the installed command; what depends on being
a process (a pipe, Ctrl-C) starts one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pandas as pd
import pytest

import hptransfer
from hptransfer.cli.main import cli, main
from hptransfer.drive.load_study import load_study
from hptransfer.study.starter import starter_text, write_starter
from hptransfer.trials.grid import trials_of
from hptransfer.trials.settled import Settled

ROOT = Path(__file__).parents[2]
HPTRANSFER = str(Path(sys.executable).with_name("hptransfer"))

STUDY = """\
name: tiny
model: {factory: mlp}
data: {max_bytes: 20000}
training: {steps: 2, batch_size: 2, sequence_length: 8, eval_tokens: 16, precision: fp32}
base: {width: 32}
grid: {rules: [supar], widths: [32], densities: [1, 1/2], lr: [2^-8, 2^-7, 2^-6, 2^-5, 2^-4], seeds: 2}
check: {enabled: false}
"""


def status_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "tiny.yaml").write_text(STUDY)
    return tmp_path


# Help


def commands() -> dict[str, click.Command]:
    return dict(cli.commands)


def test_commands_are_listed_in_the_order_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    listed = re.findall(
        r"^  ([a-z]+)  +\S", capsys.readouterr().out.split("Commands:")[1].split("First steps")[0], re.M
    )
    assert listed[:3] == ["init", "run", "tune"]
    assert set(listed) == set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_help_says_what_the_command_does_and_gives_examples_that_parse(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(name, "--help") == 0
    text = capsys.readouterr().out
    assert "..." not in commands()[name].get_short_help_str(80)
    examples = re.findall(r"^ +hptransfer (.+)$", text, re.M)
    assert examples
    for example in examples:
        words = shlex.split(example)
        assert words[0] == name
        commands()[name].make_context(name, words[1:])
    undocumented = [o.name for o in commands()[name].params if isinstance(o, click.Option) and not o.help]
    assert not undocumented


def test_the_version() -> None:
    done = subprocess.run([HPTRANSFER, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"hptransfer, version {hptransfer.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell_named_in_the_help(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version, and there is no bash here")
    environment = os.environ | {"_HPTRANSFER_COMPLETE": f"{shell}_source"}
    done = subprocess.run([HPTRANSFER], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert "_HPTRANSFER_COMPLETE" in done.stdout
    assert done.stdout.count("\n") > 5
    assert f"_HPTRANSFER_COMPLETE={shell}_source" in (cli.epilog or "")


def test_completion_completes() -> None:
    environment = os.environ | {
        "_HPTRANSFER_COMPLETE": "bash_complete",
        "COMP_WORDS": "hptransfer run --ex",
        "COMP_CWORD": "2",
    }
    done = subprocess.run([HPTRANSFER], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "plain,--executor\n"


# Faults: exit status 2, one message that names place and remedy, no traceback

FILES = {
    "broken.json": "{",
    "list.json": "[1]",
    "few.json": '{"lr": 0.01}',
    "negative.json": '{"lr": -1, "init_std": 0.1}',
    "nan.json": '{"lr": NaN, "init_std": 0.1}',
    "broken.yaml": "name: [\n",
    "unknown.yaml": "name: a\ngrd: {}\n",
    "no_width.py": "def build(depth): ...\n",
    "raises.py": "\n1 / 0\n",
    "no_python.py": "def (:\n",
    "refuses.py": "def build(width):\n    assert width % 3 == 0, 'thirds only'\n",
    "not_a_module.py": "def build(width):\n    return width\n",
    "ignores.py": "from torch.nn import *\ndef build(width):\n    return Sequential(Embedding(9, 8), Linear(8, 9))\n",
    "prose.txt": "text\n",
}
TELESCOPE = (
    "--set", "model={factory: gpt, options: {head_size: 32}}", "--set", "base.width=96", "--set", "grid.widths=[96]",
    "--set", "tune={strategy: telescope, trials: 48, space: {lr: {low: 2^-9, high: 2^-5}}}",
)  # fmt: skip
OWN = ("explain", "tiny.yaml", "--set")

FAULTS = [
    (("--nope",), "--nope"),
    (("runn", "tiny.yaml"), "No such command 'runn'"),
    (("plan",), "Missing argument 'STUDY'"),
    (("plan", "tiny.yaml", "--nope"), "No such option '--nope'"),
    (("plan", "none.yaml"), "none.yaml: no such file"),
    (("plan", "empty"), "empty: is not a file"),
    (("plan", "broken.yaml"), "broken.yaml: is not YAML"),
    (("plan", "unknown.yaml"), "unknown.yaml: grd: unknown key"),
    (("plan", "tiny.yaml", "--set", "grid.widths"), "--set grid.widths: is not an override"),
    (("plan", "tiny.yaml", "--set", "grid.widhts=[1]"), "did you mean 'widths'?"),
    (("plan", "tiny.yaml", "--set", "grid.widths=abc"), "--set grid.widths: is of the wrong kind"),
    (("run", "tiny.yaml", "--set", "data.source=text", "--set", "data.path=gone"), "data.path: no such file"),
    (("explain", "tiny.yaml", "--base", "none.json"), "none.json: cannot read the base file"),
    (("explain", "tiny.yaml", "--base", "broken.json"), "broken.json: not JSON"),
    (("explain", "tiny.yaml", "--base", "list.json"), "list.json: must be a JSON object"),
    (("explain", "tiny.yaml", "--base", "few.json"), "few.json: init_std must be numbers"),
    (("fanout", "tiny.yaml", "--base", "negative.json"), "negative.json: lr: is out of range; found -1"),
    (("explain", "tiny.yaml", "--base", "nan.json"), "nan.json: lr: is out of range; found nan"),
    (("explain", "tiny.yaml", "--rule", "supr"), "--rule: unknown rule; found 'supr'; allowed: sp, mup, supar"),
    *(
        (("explain", "tiny.yaml", "--density", d), "--density: a density is a share")
        for d in ("0", "2", "-1", "x", "nan")
    ),
    (("explain", "tiny.yaml", "--density", "1/0"), "--density: a density is a share"),
    (("explain", "tiny.yaml", "--width", "0"), "Invalid value for '--width'"),
    ((*OWN, "model.factory=no_width:build"), "the factory must take the keyword 'width'"),
    ((*OWN, "model.factory=ignores:build"), "the factory ignores 'width'"),
    ((*OWN, "model.factory=missing:build"), "cannot import the module 'missing'"),
    ((*OWN, "model.factory=ignores:biuld"), "has no function 'biuld'"),
    (
        (*OWN, "model.factory=ignores"),
        "no such model; found 'ignores'; allowed: gpt, mlp or",
    ),
    ((*OWN, "model.factory=not_a_module:build"), "must return a torch.nn.Module; found 'int'"),
    ((*OWN, "model.factory=raises:build"), "raises.py:2: your code raised ZeroDivisionError"),
    ((*OWN, "model.factory=no_python:build"), "no_python.py:1: your code raised SyntaxError"),
    ((*OWN, "model.factory=refuses:build"), "refuses.py:2: your code raised AssertionError: thirds only"),
    (("export", "tiny.yaml", "--format", "toml"), "'toml' is not one of"),
    (("export", "tiny.yaml", "--output", "gone/x.json"), "gone/x.json: cannot write the file"),
    *(((command, "empty"), "empty: no trial rows here") for command in ("verdict", "plot", "report")),
    (("verdict", "loose"), "columns are missing: rule"),
    (("status", "blocked"), "blocked/trials"),
    (("status", "empty"), "empty: holds no study"),
    *(((command, "gone"), "gone: ") for command in ("verdict", "plot", "report", "status")),
    *(((command, "foo://x/y"), "foo://x/y: ") for command in ("verdict", "plot", "report", "status")),
    (("status", "prose.txt"), "prose.txt: is not a folder"),
    (("verdict", "empty", "--delta", "x"), "'x' is not a valid float"),
    (("run", "tiny.yaml", "--executor", "local", "--address", "a:1"), "the local executor uses no cluster"),
    (("run", "tiny.yaml", "--executor", "local", "--workers", "2"), "the local executor is one process"),
    (("run", "tiny.yaml", "--address", "127.0.0.1:9"), "--address: no Ray answers"),
    (("run", "tiny.yaml", "--executor", "local", "--device", "cuda"), "--device: there is no GPU here"),
    (("tune", "tiny.yaml", "--executor", "local"), "tune: nothing to search"),
    (("plan", "tiny.yaml", *TELESCOPE), "tune.telescope_widths = 48 does not fit"),
    (("plan", "tiny.yaml", "--set", "grid.variants={a: {}, b: {}}"), "grid.variants.b: has the settings of 'a'"),
    (
        ("export", "tiny.yaml", "--set", "sparsity.kind='1:2'", "--density", "1/2", "--format", "python"),
        "unstructured random masks alone",
    ),
    (("run", "tiny.yaml", "--executor", "nope"), "no such executor; found 'nope'; allowed: local, ray, tune or"),
    (("run", "tiny.yaml", "--workers", "0"), "Invalid value for '--workers'"),
    (("run", "tiny.yaml", "--results", "prose.txt", "--executor", "local"), "cannot be created; Not a directory"),
    (("run", "tiny.yaml", "--set", "grid.max_trials=3", "--executor", "local"), "the grid is larger than its cap"),
    (("tune", "tiny.yaml", "--set", "tune.sampler=best", "--executor", "local"), "tune.sampler: is not one of"),
    (("init", "tiny.yaml"), "tiny.yaml: the file is already there"),
    (("init", "empty"), "empty: is a folder"),
    (("init", "gone/a.yaml"), "gone/a.yaml: cannot write the file"),
    (("init", "b.yaml", "--text", "gone.txt"), "gone.txt: no such text file"),
    (("init", "b.yaml", "--factory", "foo"), "--factory: no such model; found 'foo'"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS, ids=lambda part: part if isinstance(part, str) else "")
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    (here / "blocked").mkdir()
    (here / "blocked" / "trials").write_text("a file where a folder should be")
    (here / "loose").mkdir()
    pd.DataFrame({"lr": [0.1], "loss": [1.0]}).to_parquet(here / "loose" / "theirs.parquet")
    for name, text in FILES.items():
        (here / name).write_text(text)
    assert status_of(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    last = said.rstrip().splitlines()[-1]
    assert last.startswith(("hptransfer: ", "Error: "))


def test_a_fault_of_this_package_stays_a_traceback(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hptransfer.drive.plan.make_plan", None)
    with pytest.raises(TypeError):
        main(["plan", "tiny.yaml", "--no-calibrate"])


# Status 1 and 0 of commands that judge


def rows(stable: bool) -> pd.DataFrame:
    """Rows of a perfect parabola in log2 LR at two densities, its optimum moved by two octaves unless stable."""
    found = []
    for density in (1.0, 0.5, 0.25):
        best = -6 if stable else -6 - {1.0: 0, 0.5: 1, 0.25: 2}[density]
        for seed in (0, 1, 2):
            for octave in range(-11, 0):
                noise = 1e-5 * ((7 * seed + 3 * octave) % 5 - 2)
                loss = 2.0 + 0.02 * (octave - best) ** 2 + 0.01 * seed + noise
                found.append(("supar", 64, density, 2.0**octave, seed, loss))
    return pd.DataFrame(found, columns=["rule", "width", "density", "lr", "seed", "loss"])


@pytest.mark.parametrize(("stable", "status", "word"), [(True, 0, "STABLE"), (False, 1, "DRIFT")])
def test_verdict_leaves_with_0_only_when_what_should_be_stable_is(
    stable: bool, status: int, word: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows").mkdir()
    rows(stable).to_parquet(here / "rows" / "a.parquet")
    assert status_of("verdict", "rows", "--json") == status
    verdicts = json.loads(capsys.readouterr().out)
    assert [(v["rule"], v["axis"], v["verdict"]) for v in verdicts] == [("supar", "density", word)]
    assert status_of("verdict", "rows", "--expect", "mup") == 1
    assert "no study.yaml lies here" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["verdict", "status"])
def test_a_folder_of_studies_names_them(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (here / "results" / name).mkdir(parents=True)
        (here / "results" / name / "study.yaml").write_text(f"name: {name}\n")
    assert status_of(command, "results") == 2
    assert "it holds the results of one, two: name one" in capsys.readouterr().err


def test_a_study_s_name_instead_of_its_file_is_understood(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sweeps").mkdir()
    (here / "sweeps" / "mine.yaml").write_text("name: mine\n")
    assert status_of("plan", "mine") == 2
    assert "did you mean sweeps/mine.yaml?" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--delta", "-1"), ("--delta", "nan"), ("--margin", "0")])
def test_verdict_refuses_margins_that_are_none(
    option: str, value: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows").mkdir()
    rows(True).to_parquet(here / "rows" / "a.parquet")
    assert status_of("verdict", "rows", option, value) == 2
    assert "is out of range" in capsys.readouterr().err


def test_a_failed_check_leaves_with_1_on_a_fresh_folder_and_is_not_called_a_sweep(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    impossible = ["--set", "check={enabled: true, steps: 1, seeds: 1, first_tolerance: 1e-9, last_tolerance: 1e-9}"]
    wide = ["--set", "grid.widths=[32,64]"]
    assert status_of("check", "tiny.yaml", *impossible, *wide) == 1
    said = capsys.readouterr()
    assert "supar fails over width" in said.out
    assert "check-width.png" in said.out
    assert "sweep" not in said.err
    assert status_of("run", "tiny.yaml", *impossible, *wide, "--executor", "local") == 1
    assert "The sweep was not started" in capsys.readouterr().err


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
        "from hptransfer.tasks.models import MLP\n"
        "class Breaks(MLP):\n"
        "    def forward(self, tokens):\n"
        "        raise KeyError('no such thing')\n"
        "def build(width, vocab_size=256):\n"
        "    return Breaks(width=width, vocab_size=vocab_size)\n"
    )
    one = ["--set", "grid.lr=[2^-7]", "--set", "grid.seeds=1", "--set", "grid.densities=[1]"]
    arguments = ["run", "tiny.yaml", "--set", "model.factory=breaks:build", *one, "--executor", "local", "--no-compile"]
    assert status_of(*arguments) == 1
    assert "no such thing" in capsys.readouterr().err
    (log,) = (here / "results" / "tiny" / "failed").iterdir()
    assert "breaks.py" in log.read_text()


# A process: pipes and Ctrl-C


def test_a_reader_that_went_away_is_no_traceback() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run([HPTRANSFER, "run", "--help"], stdout=write_end, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(write_end)
    assert done.returncode == 1
    assert done.stderr == b""


def test_ctrl_c_drains_a_second_one_leaves_with_130_and_says_how_to_go_on(here: Path) -> None:
    endless = ["--set", "training.steps=10000000", "--set", "grid.lr=[2^-8,2^-7]"]
    command = [HPTRANSFER, "run", "tiny.yaml", *endless, "--executor", "local", "--no-compile"]
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


def _read_until(wanted: str, running: subprocess.Popen[str]) -> None:
    assert running.stderr is not None
    said = ""
    while wanted not in said:
        line = running.stderr.readline()
        assert line, said
        said += line


# init


@pytest.mark.parametrize("factory", ["gpt", "mlp", "mine:build"])
def test_a_starter_loads_and_plans(factory: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text(
        "from hptransfer.tasks.models import MLP\ndef build(width):\n    return MLP(width=width)\n"
    )
    assert status_of("init", "new.yaml", "--factory", factory) == 0
    assert capsys.readouterr().out == "Wrote new.yaml. Next: hptransfer plan new.yaml\n"
    study = load_study(here / "new.yaml")
    assert study.name == "new"
    assert study.tune is not None
    trials = trials_of(Settled(study, study.base.hps, "fp32", "d"))
    assert len(trials) == 3 * 5 * 7 * 3  # rules, cells with at least 8 weights a neuron, LRs, seeds
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
