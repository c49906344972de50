"""`hptransfer plot`: pictures of a results folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from command_line import check_refused, status_of

from hptransfer.cli.plot import plot
from hptransfer.report.plots import KINDS

RESULTS = Path(__file__).parents[2] / "results" / "quickstart"


def test_pictures_of_the_kind_and_form_asked_for_are_written_and_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RESULTS, here / "copy", ignore=shutil.ignore_patterns("plots"))
    assert status_of("plot", "copy", "--kind", "lr", "--format", "svg") == 0
    named = capsys.readouterr().out.split()
    assert sorted(named) == sorted(str(Path("copy") / "plots" / path.name) for path in (here / "copy/plots").iterdir())
    assert all(Path(name).name.startswith("lr") and name.endswith(".svg") for name in named)


def test_the_help_names_kinds_that_can_be_drawn() -> None:
    named = re.search(r"Kinds: ([\w, \n]+);", plot.help or "")
    assert named is not None
    assert set(re.split(r",\s+", named[1])) <= set(KINDS)


FAULTS = [
    (("plot", "empty"), "empty: no trial rows here"),
    (("plot", "gone"), "gone: "),
    (("plot", "foo://x/y"), "foo://x/y: "),
    (("plot", "empty", "--format", "gif"), "'gif' is not one of"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_bad_input_is_one_message_and_status_2(
    arguments: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    check_refused(arguments, message, capsys)
