"""`hptransfer export`: to the terminal or a file, in three forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from command_line import check_refused, status_of


def test_the_forms_say_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("export", "tiny.yaml") == 0
    rows = json.loads(capsys.readouterr().out)
    assert status_of("export", "tiny.yaml", "--format", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out) == rows
    assert status_of("export", "tiny.yaml", "--format", "python", "--output", "target.py") == 0
    assert capsys.readouterr().out == "Wrote target.py.\n"
    text = (here / "target.py").read_text()
    compile(text, "target.py", "exec")
    assert all(repr(row["name"]) in text for row in rows)


PATTERN = ("--set", "sparsity.kind='1:2'", "--density", "1/2")

FAULTS = [
    (("export", "tiny.yaml", "--format", "toml"), "'toml' is not one of"),
    (("export", "tiny.yaml", "--output", "gone/x.json"), "gone/x.json: cannot write the file"),
    (("export", "tiny.yaml", *PATTERN, "--format", "python"), "unstructured random masks alone"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(arguments, message, capsys)
