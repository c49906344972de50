"""`hptransfer status`: how far a study is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import check_refused, status_of

RESULTS = str(Path(__file__).parents[2] / "results" / "quickstart")


def test_the_counts_are_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("status", RESULTS, "--json") == 0
    counts = json.loads(capsys.readouterr().out)
    assert set(counts) == {"planned", "stored", "diverged", "failed", "in_flight", "running"}
    assert counts["stored"] > 0
    assert counts["running"] is False
    assert status_of("status", RESULTS) == 0
    assert f"   stored  {counts['stored']}\n" in capsys.readouterr().out


def test_a_folder_of_studies_names_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (here / "results" / name).mkdir(parents=True)
        (here / "results" / name / "study.yaml").write_text(f"name: {name}\n")
    check_refused(("status", "results"), "it holds the results of one, two: name one", capsys)


FAULTS = [
    (("status", "blocked"), "blocked/trials"),
    (("status", "empty"), "empty: holds no study"),
    (("status", "gone"), "gone: "),
    (("status", "foo://x/y"), "foo://x/y: "),
    (("status", "prose.txt"), "prose.txt: is not a folder"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    (here / "blocked").mkdir()
    (here / "blocked" / "trials").write_text("a file where a folder should be")
    (here / "prose.txt").write_text("text\n")
    check_refused(arguments, message, capsys)
