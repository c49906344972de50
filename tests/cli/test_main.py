"""The command line as a whole: help that reads as a manual, examples that parse, completion, and the boundary where
errors become exit statuses."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from command_line import HPTRANSFER, check_refused, status_of

import hptransfer
from hptransfer.cli.main import cli, main


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


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("run --ex", ["--executor"]),
        ("run --executor ''", ["local", "ray", "tune"]),
        ("run --executor t", ["tune"]),
        ("run --observe pa", ["page"]),
        ("run --search ''", ["fixed", "bracket"]),
    ],
)
def test_completion_completes(begun: str, offered: list[str]) -> None:
    environment = os.environ | {
        "_HPTRANSFER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"hptransfer {begun}",
        "COMP_CWORD": str(len(begun.split())),
    }
    done = subprocess.run([HPTRANSFER], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [f"plain,{word}" for word in offered]


FAULTS = [
    (("--nope",), "--nope"),
    (("runn", "tiny.yaml"), "No such command 'runn'"),
    (("plan",), "Missing argument 'STUDY'"),
    (("plan", "tiny.yaml", "--nope"), "No such option '--nope'"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_a_line_that_is_none_is_refused(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(arguments, message, capsys)


def test_a_fault_of_this_package_stays_a_traceback(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hptransfer.drive.plan.make_plan", None)
    with pytest.raises(TypeError):
        main(["plan", "tiny.yaml", "--no-calibrate"])


def test_a_warning_of_the_package_is_said_once_as_the_command_line_says_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows" / "trials").mkdir(parents=True)
    (here / "rows" / "trials" / "damaged.parquet").write_text("no Parquet")
    (here / "rows" / "study.yaml").write_text("name: rows\n")
    assert status_of("status", "rows") == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.startswith("hptransfer: warning: rows: ") for line in said] == [True, True]
    assert ["nothing about them is verified" in said[0], "damaged.parquet cannot be read" in said[1]] == [True, True]


def test_a_reader_that_went_away_is_no_traceback() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run([HPTRANSFER, "run", "--help"], stdout=write_end, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(write_end)
    assert done.returncode == 1
    assert done.stderr == b""
