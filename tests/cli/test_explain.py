"""`hptransfer explain`: the table, its target, base HPs from a file, and a model of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import check_refused, status_of


def test_the_target_is_the_grid_s_largest_and_sparsest_unless_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("explain", "tiny.yaml") == 0
    assert "supar at width 32, depth 2, density 0.5; base width 32" in capsys.readouterr().out
    assert status_of("explain", "tiny.yaml", "--width", "64", "--density", "1/4", "--depth", "3", "--rule", "sp") == 0
    assert "sp at width 64, depth 3, density 0.25; base width 32" in capsys.readouterr().out


def test_json_is_a_list_of_tensors(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("explain", "tiny.yaml", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    keys = {"name", "role", "shape", "density", "init_std", "lr", "weight_decay", "eps", "multiplier", "source"}
    assert rows
    assert all(keys <= set(row) for row in rows)


def test_base_hps_are_those_of_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "base.json").write_text('{"lr": 0.125, "init_std": 0.1}')
    assert status_of("explain", "tiny.yaml", "--rule", "sp", "--base", "base.json", "--json") == 0
    assert {row["lr"] for row in json.loads(capsys.readouterr().out)} == {0.125}


FILES = {
    "broken.json": "{",
    "list.json": "[1]",
    "few.json": '{"lr": 0.01}',
    "nan.json": '{"lr": NaN, "init_std": 0.1}',
    "no_width.py": "def build(depth): ...\n",
    "raises.py": "\n1 / 0\n",
    "no_python.py": "def (:\n",
    "refuses.py": "def build(width):\n    assert width % 3 == 0, 'thirds only'\n",
    "not_a_module.py": "def build(width):\n    return width\n",
    "ignores.py": "from torch.nn import *\ndef build(width): return Sequential(Embedding(256, 8), Linear(8, 256))\n",
}
OWN = ("explain", "tiny.yaml", "--set")

FAULTS = [
    (("explain", "tiny.yaml", "--base", "none.json"), "none.json: cannot read the base file"),
    (("explain", "tiny.yaml", "--base", "broken.json"), "broken.json: not JSON"),
    (("explain", "tiny.yaml", "--base", "list.json"), "list.json: must be a JSON object"),
    (("explain", "tiny.yaml", "--base", "few.json"), "few.json: init_std must be numbers"),
    (("explain", "tiny.yaml", "--base", "nan.json"), "nan.json: lr: is out of range; found nan"),
    (("explain", "tiny.yaml", "--rule", "supr"), "--rule: unknown rule; found 'supr'; allowed: sp, mup, supar"),
    *(
        (("explain", "tiny.yaml", "--density", d), "--density: a density is a share")
        for d in ("0", "2", "-1", "x", "nan", "1/0")
    ),
    (("explain", "tiny.yaml", "--width", "0"), "Invalid value for '--width'"),
    ((*OWN, "model.factory=no_width:build"), "the factory must take the keyword 'width'"),
    ((*OWN, "model.factory=ignores:build"), "the factory ignores 'width'"),
    ((*OWN, "model.factory=missing:build"), "cannot import the module 'missing'"),
    ((*OWN, "model.factory=ignores:biuld"), "model.factory: the module 'ignores' has no 'biuld'"),
    ((*OWN, "model.factory=ignores"), "no such model; found 'ignores'; allowed: gpt, mlp or"),
    ((*OWN, "model.factory=not_a_module:build"), "must return a torch.nn.Module; found 'int'"),
    ((*OWN, "model.factory=raises:build"), "raises.py:2: your code raised ZeroDivisionError"),
    ((*OWN, "model.factory=no_python:build"), "no_python.py:1: your code raised SyntaxError"),
    ((*OWN, "model.factory=refuses:build"), "refuses.py:2: your code raised AssertionError: thirds only"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        (here / name).write_text(text)
    check_refused(arguments, message, capsys)
