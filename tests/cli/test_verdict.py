"""`hptransfer verdict`: 0 only when what should be stable is."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from command_line import check_refused, status_of


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


def test_a_folder_of_studies_names_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (here / "results" / name).mkdir(parents=True)
        (here / "results" / name / "study.yaml").write_text(f"name: {name}\n")
    check_refused(("verdict", "results"), "it holds the results of one, two: name one", capsys)


@pytest.mark.parametrize(("option", "value"), [("--delta", "-1"), ("--delta", "nan"), ("--margin", "0")])
def test_verdict_refuses_margins_that_are_none(
    option: str, value: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rows").mkdir()
    rows(True).to_parquet(here / "rows" / "a.parquet")
    assert status_of("verdict", "rows", option, value) == 2
    assert "is out of range" in capsys.readouterr().err


FAULTS = [
    (("verdict", "empty"), "empty: no trial rows here"),
    (("verdict", "loose"), "columns are missing: rule"),
    (("verdict", "gone"), "gone: "),
    (("verdict", "foo://x/y"), "foo://x/y: "),
    (("verdict", "empty", "--delta", "x"), "'x' is not a valid float"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    (here / "loose").mkdir()
    pd.DataFrame({"lr": [0.1], "loss": [1.0]}).to_parquet(here / "loose" / "theirs.parquet")
    check_refused(arguments, message, capsys)
