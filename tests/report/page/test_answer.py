"""The answer: the base HPs and what they mean, from what the run stored."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from fake_results import BASE

from hptransfer.analysis.results import Results
from hptransfer.report.page.answer import answer_section, base_hps
from hptransfer.study.base import BaseHPs, TunedBase


def tensor(name: str, **given: object) -> dict[str, object]:
    """A row as `explain --json` gives it. At m = 256/64 = 4 and ρ = 1/16: LR × 16/4, init std × sqrt(16/4)."""
    hidden = {"name": name, "role": "hidden", "density": 0.0625, "init": "normal", "init_std": 0.12, "lr": 0.03125}
    same = {"lr_scale": 4.0, "weight_decay": 0.1, "eps": 1e-8, "multiplier": 1.0, "multiplier_at": ""}
    return {**hidden, **same, "source": "hidden: 1/mρ", **given}


@pytest.fixture
def stored(results: Results) -> Results:
    rows = [tensor(f"blocks.{i}.ffn.up.weight", shape=[256, 64 * (i + 1)]) for i in range(3)]
    rows.append(
        tensor("norm.weight", role="vector", init="ones", init_std=None, multiplier=2.0, multiplier_at="output")
    )
    return replace(results, tensors={"width": 256, "density": 0.0625, "depth": 2, "rules": {"supar": rows}})


def cells(text: str) -> list[list[str]]:
    rows = re.findall(r"<tr><td.*?</tr>", text)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row)] for row in rows]


def test_tensors_with_equal_numbers_share_a_row_whatever_their_names_and_shapes(stored: Results) -> None:
    assert cells(answer_section(stored)) == [
        ["hidden", "0.12", "0.0312 ×4", "0.1", "–", "1/16", "blocks.0.ffn.up.weight and 2 more"],
        ["vector", "ones", "0.0312 ×4", "0.1", "2 on output", "1/16", "norm.weight"],
    ]


def test_it_is_the_table_of_the_rule_that_held_at_the_largest_sparsest_cell(stored: Results) -> None:
    plain = re.sub(r"<[^>]+>", "", answer_section(stored))
    assert "On width 256 at density 1/16 they mean, under SμPar" in plain
    assert "hptransfer explain results/demo/study.yaml --rule supar --width 256 --density 0.0625" in plain


def test_without_a_stored_table_the_command_is_named_and_no_factory_is_imported(results: Results) -> None:
    study = {"name": "x", "model": {"factory": "antigravity:fly"}, "grid": {"widths": [64]}}
    plain = re.sub(r"<[^>]+>", "", answer_section(replace(results, study=study)))
    assert "No tensors.json lies here. This prints it:hptransfer explain" in plain
    assert "antigravity" not in sys.modules


def test_the_base_hps_are_the_tuned_ones_else_the_studys_own(results: Results) -> None:
    assert base_hps(results) == BASE.hps
    study = {"base": {"lr": 0.5, "width": 64}}
    assert base_hps(replace(results, base=None, study=study)) == BaseHPs(lr=0.5)
    assert base_hps(replace(results, base=None, study={"base": {"lr": "high"}})) is None
    assert answer_section(replace(results, base=None, study=None)) is None


def test_a_rule_of_settings_of_its_own_is_named_with_them(results: Results) -> None:
    study = {"name": "x", "grid": {"by_rule": {"sp": {"base.lr": 2e-4, "model.options.base_head_size": None}}}}
    plain = re.sub(r"<[^>]+>", "", answer_section(replace(results, study=study)))
    assert "SP has its own base.lr 0.0002, model.options.base_head_size null." in plain
    assert "its own" not in re.sub(r"<[^>]+>", "", answer_section(results))


def test_what_nothing_tuned_is_not_called_tuned(results: Results) -> None:
    plain = re.sub(r"<[^>]+>", "", answer_section(replace(results, base=TunedBase.untuned(BaseHPs()))))
    assert "The base hyperparameters" in plain
    assert "nothing was tuned" in plain
    tuned = re.sub(r"<[^>]+>", "", answer_section(results))
    assert "Use these base hyperparameters" in tuned
    assert "any learning rate from 2−7.6 to 2−6.5 is as good within the noise; found in 32 trials (31 TFLOP)." in tuned
