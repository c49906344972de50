"""The rule table in the documents is generated from the rules and must not go stale."""

from pathlib import Path

import pytest

from hptransfer.common.errors import InputError
from hptransfer.scaling.rules_doc import BEGIN, END, main, rule_table_markdown, with_table

ROOT = Path(__file__).parents[2]


def test_cells_read_as_the_papers_do():
    lines = {line.split("|")[1].strip(): line for line in rule_table_markdown(("adamw",)).splitlines() if "|" in line}
    columns = lines["Adam(W)"].split("|")
    supar, mup, sp = (columns.index(f" `{name}` ") for name in ("supar", "mup", "sp"))
    assert lines["hidden init std"].split("|")[supar].strip() == "σ / (√m·√ρ)"
    assert lines["hidden LR"].split("|")[supar].strip() == "η / (m·ρ)"
    assert lines["hidden LR"].split("|")[mup].strip() == "η / m"
    assert lines["hidden LR"].split("|")[sp].strip() == "η"
    assert lines["readout input"].split("|")[mup].strip() == "α_out / m"
    assert lines["residual projection init std"].split("|")[sp].strip() == "σ / √(2L)"
    assert lines["attention logits"].split("|")[mup].strip() == "√d_base / d_head"


@pytest.mark.parametrize("name", ["README.md", "docs/rules.md"])
def test_documents_are_fresh(name):
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"{name} is not part of this checkout")
    text = path.read_text(encoding="utf-8")
    assert with_table(text, where=name) == text, f"run python -m hptransfer.scaling.rules_doc {name}"


def test_the_command_writes_then_finds_nothing_to_do(tmp_path, capsys):
    path = tmp_path / "a.md"
    path.write_text(f"before\n\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert main(["--check", str(path)]) == 1
    assert "stale" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert rule_table_markdown() in text


def test_a_document_without_a_place_is_refused():
    with pytest.raises(InputError, match="no place for the rule table"):
        with_table("nothing here", where="a.md")
