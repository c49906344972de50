"""The command line run in this process, through the function behind the installed command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hptransfer.cli.main import main

HPTRANSFER = str(Path(sys.executable).with_name("hptransfer"))
"""The installed command, for what depends on being a process."""

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
    """The exit status of a command."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def check_refused(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input is status 2 and one message that names place and remedy, no traceback."""
    assert status_of(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert said.rstrip().splitlines()[-1].startswith(("hptransfer: ", "Error: "))
