"""Every command and every Python block of the README and the docs does what the page says, in the order of the page.

Each page gets a folder in which a tiny study has been run. A study that a page asks `init` for, or takes for granted,
is the starter made tiny by overrides; the shipped study files are the smoke test under their names. What needs a
cluster or an object store is parsed by the program that would run it, and not run.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from markdown_pages import PAGES, ROOT, Block, blocks

from hptransfer.cli.main import cli, main
from hptransfer.study.starter import write_starter

STUDY_COMMANDS = ("run", "tune", "fanout", "plan", "explain", "export", "check")
TRAINING = ("run", "tune", "fanout")
TINY = {
    "base": ["width=32"],
    "training": ["steps=3", "batch_size=2", "sequence_length=16", "eval_tokens=32", "precision=fp32"],
    "tune": ["trials=2", "batch=2", "finalists=1", "finalist_seeds=2"],
    "grid": ["rules=[supar]", "widths=[32,64]", "densities=[1,1/4]", "lr_multiples=[1/2,1,2]", "seeds=1"],
    "check": ["steps=1", "seeds=1", "max_seeds=1"],
}
"""Overrides of the starter; a key that the page's own command sets is left to it."""
MAY_FAIL = ("verdict", "check")
"""Commands whose exit status 1 is an answer; the tiny study cannot give another."""


def status_of(arguments: list[str]) -> int:
    """The exit status of the command line in this process."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results/quickstart, run from the smoke study under that name, and what a page may take as given."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "sweeps").mkdir()
    smoke = (ROOT / "sweeps" / "smoke.yaml").read_text(encoding="utf-8")
    for study in (ROOT / "sweeps").glob("*.yaml"):
        (folder / "sweeps" / study.name).write_text(smoke.replace("name: smoke", f"name: {study.stem}"))
    (folder / "corpus.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 200)
    page = (ROOT / "docs" / "your-model.md").read_text(encoding="utf-8")
    (model,) = (block.text for block in blocks(page) if block.text.startswith("# mymodel.py"))
    (folder / "mymodel.py").write_text(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert status_of(["run", "sweeps/quickstart.yaml", "--executor", "local", "--no-compile"]) == 0
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of that folder to stand in; the import path and the user's modules are put back afterwards."""
    here = tmp_path / "page"
    shutil.copytree(finished, here)
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [str(here), *sys.path])
    before = set(sys.modules)
    yield here
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(here)):
            del sys.modules[name]


def command_lines(block: Block) -> list[list[str]]:
    """The commands of a shell block, comments and line continuations resolved."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def page_has_init_of(page: str, study: str) -> bool:
    return re.search(rf"^ *hptransfer init {re.escape(study)}\b", page, flags=re.M) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, folder: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for study in ("my.yaml", "mine.yaml"):
        if not page_has_init_of(text, study):
            write_starter(Path(study))
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(text):
        where = f"{page.name}:{block.line}"
        if block.language == "python":
            run_python(block.text, names, where)
        elif block.language in ("sh", "bash", "shell", "console"):
            for words in command_lines(block):
                run_command(words, where)


def run_python(source: str, names: dict[str, Any], where: str) -> None:
    """A block named by its first line is written to that file; any other runs, and the tests that it holds are run.

    A command of the page runs the file. Those of Lightning and Hugging Face are run by `tests/integrations`.
    """
    named = re.match(r"# (\w+\.py)\n", source)
    if named:
        Path(named[1]).write_text(source)
        return
    before = set(names)
    exec(compile(source, where, "exec"), names)
    for name in sorted(set(names) - before):
        if name.startswith("test_"):
            names[name]()


def run_command(words: list[str], where: str) -> None:
    """Run or, where it needs what is not here, parse one command."""
    program, *arguments = words
    tries = {"hptransfer": try_hptransfer, "make": try_make, "ray": try_ray, "python": try_python, "git": try_git}
    tries["torchrun"] = try_torchrun
    assert program in tries or program == "eval", f"{where}: nobody knows how to try `{' '.join(words)}`"
    if program == "eval":
        assert "_HPTRANSFER_COMPLETE=bash_source hptransfer" in arguments[0], where
        return
    tries[program](arguments, where)


def try_hptransfer(arguments: list[str], where: str) -> None:
    """Run it, tiny and without Ray; a command for a cluster or an object store is parsed alone."""
    if "--address" in arguments or any("s3://" in word for word in arguments):
        parse(cli, arguments)
        return
    command = arguments[0]
    asked = list(arguments)
    if command in STUDY_COMMANDS and not arguments[1].startswith("sweeps/"):
        tiny = [f"{section}.{setting}" for section, settings in TINY.items() for setting in settings]
        told = " ".join(arguments)
        asked += [word for setting in tiny if setting.split("=")[0] not in told for word in ("--set", setting)]
    if command in TRAINING:
        asked += ["--no-compile", *([] if "--executor" in arguments else ["--executor", "local"])]
    if command == "run":
        asked += ["--no-check"]
    if command == "plan":
        asked += ["--no-calibrate"]
    status = status_of(asked)
    assert status == 0 or (status == 1 and command in MAY_FAIL), f"{where}: hptransfer {' '.join(arguments)}: {status}"


def parse(group: click.Command, arguments: list[str]) -> None:
    """Let click read a command line down to its last subcommand, and run nothing."""
    context = group.make_context(group.name, list(arguments), resilient_parsing=False)
    if isinstance(group, click.Group):
        left = [*context._protected_args, *context.args]
        name, command, rest = group.resolve_command(context, left)
        assert command is not None, name
        parse(command, rest)


def try_make(arguments: list[str], where: str) -> None:
    """The target is one of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in arguments:
        assert re.search(rf"^{target}:", makefile, flags=re.M), f"{where}: no target {target}"


def try_ray(arguments: list[str], where: str) -> None:
    """Ray's own command line takes it."""
    from ray.scripts.scripts import cli as ray_cli

    with_command = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    if with_command:
        assert with_command[0] == "hptransfer", where
        parse(cli, with_command[1:])
    parse(ray_cli, arguments)


def try_python(arguments: list[str], where: str) -> None:
    """A script or a module of this repository."""
    script = arguments[1].replace(".", "/") + ".py" if arguments[0] == "-m" else arguments[0]
    assert (ROOT / script).exists() or arguments[:2] == ["-m", "benchmarks"], where


def try_torchrun(arguments: list[str], where: str) -> None:
    """The script runs, as the only process of its group; `tests/scaling/test_sharded.py` starts two."""
    from torch.distributed.run import parse_args

    asked = parse_args(arguments)
    group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in group.items():
            patch.setenv(name, value)
        runpy.run_path(asked.training_script, run_name="__main__")


def try_git(arguments: list[str], where: str) -> None:
    """Only a clone can be told from outside."""
    assert arguments[0] == "clone", where


def test_a_page_may_not_hold_a_command_that_does_not_exist(folder: Path) -> None:
    for wrong in ("hptransfer rum my.yaml --address a:1", "hptransfer run my.yaml --adress a:1 --address b:2"):
        with pytest.raises(click.UsageError):
            run_command(wrong.split(), "here")
    with pytest.raises(AssertionError, match="no target"):
        run_command(["make", "coffee"], "here")
    with pytest.raises(AssertionError, match="nobody knows"):
        run_command(["rm", "-rf", "results"], "here")
    with pytest.raises(AssertionError, match=": 2"):
        run_command(["hptransfer", "status", "results/nothing"], "here")
    assert os.listdir("results") == ["quickstart"]
