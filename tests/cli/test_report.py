"""`hptransfer report`: one HTML file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import check_refused, status_of

RESULTS = Path(__file__).parents[2] / "results" / "quickstart"


def test_the_page_is_written_and_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RESULTS, here / "copy", ignore=shutil.ignore_patterns("plots", "report.html"))
    assert status_of("report", "copy") == 0
    assert capsys.readouterr().out == "copy/report.html\n"
    assert (here / "copy" / "report.html").read_text().startswith("<!doctype html>")


FAULTS = [
    (("report", "empty"), "empty: no trial rows here"),
    (("report", "gone"), "gone: "),
    (("report", "foo://x/y"), "foo://x/y: "),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    check_refused(arguments, message, capsys)
