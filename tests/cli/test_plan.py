"""`hptransfer plan`: what it prints, and what it says of a study that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import check_refused, status_of


def test_the_plan_is_a_table_or_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("plan", "tiny.yaml", "--no-calibrate") == 0
    assert "20 trials, 0 stored" in capsys.readouterr().out
    assert status_of("plan", "tiny.yaml", "--no-calibrate", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert {key: plan[key] for key in ("planned", "stored", "diverged", "failed")} == {
        "planned": 20,
        "stored": 0,
        "diverged": 0,
        "failed": 0,
    }


def test_a_warning_is_said_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("plan", "tiny.yaml", "--no-calibrate", "--set", "grid.lr=[2^-8, 2^-7]") == 0
    said = capsys.readouterr().err.splitlines()
    assert said
    assert len(said) == len(set(said))


def test_a_study_s_name_instead_of_its_file_is_understood(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sweeps").mkdir()
    (here / "sweeps" / "mine.yaml").write_text("name: mine\n")
    assert status_of("plan", "mine") == 2
    assert "did you mean sweeps/mine.yaml?" in capsys.readouterr().err


TELESCOPE = (
    "--set", "model={factory: gpt, options: {head_size: 32}}", "--set", "base.width=96", "--set", "grid.widths=[96]",
    "--set", "tune={strategy: telescope, trials: 48, space: {lr: {low: 2^-9, high: 2^-5}}}",
)  # fmt: skip

FAULTS = [
    (("plan", "none.yaml"), "none.yaml: no such file"),
    (("plan", "empty"), "empty: is not a file"),
    (("plan", "broken.yaml"), "broken.yaml: is not YAML"),
    (("plan", "unknown.yaml"), "unknown.yaml: grd: unknown key"),
    (("plan", "tiny.yaml", "--set", "grid.widths"), "--set grid.widths: is not an override"),
    (("plan", "tiny.yaml", "--set", "grid.widhts=[1]"), "did you mean 'widths'?"),
    (("plan", "tiny.yaml", "--set", "grid.widths=abc"), "--set grid.widths: is of the wrong kind"),
    (("plan", "tiny.yaml", *TELESCOPE), "tune.telescope_widths = 48 does not fit"),
    (("plan", "tiny.yaml", "--set", "grid.variants={a: {}, b: {}}"), "grid.variants.b: has the settings of 'a'"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    (here / "broken.yaml").write_text("name: [\n")
    (here / "unknown.yaml").write_text("name: a\ngrd: {}\n")
    check_refused(arguments, message, capsys)
