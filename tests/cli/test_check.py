"""`hptransfer check`: 1 where a rule that should be stable is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import status_of


def test_a_failed_check_leaves_with_1_on_a_fresh_folder_and_is_not_called_a_sweep(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = "first_tolerance: 1e-9, update_tolerance: 1e-9, last_tolerance: 1e-9"
    impossible = ["--set", f"check={{enabled: true, steps: 1, seeds: 4, max_seeds: 16, {strict}}}"]
    wide = ["--set", "grid.widths=[32,64]"]
    assert status_of("check", "tiny.yaml", *impossible, *wide) == 1
    said = capsys.readouterr()
    assert "supar fails over width" in said.out
    assert "check-width.png" in said.out
    assert "sweep" not in said.err
    assert status_of("run", "tiny.yaml", *impossible, *wide, "--executor", "local") == 1
    assert "The sweep was not started" in capsys.readouterr().err
