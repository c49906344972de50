"""What must fit together in a study, and what is said of one that may not answer its question."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.file import read_study, study_of
from hptransfer.study.strict_yaml import parse_yaml
from hptransfer.study.study import Study
from hptransfer.trials.checks import refuse_misfits, study_warnings

SWEEPS = Path(__file__).parents[2] / "sweeps"


def checked(text: str) -> Study:
    study = study_of(parse_yaml(text))
    refuse_misfits(study)
    return study


HEAD = "name: a\n"
BAD: dict[str, tuple[str, tuple[str, ...]]] = {
    "width not divisible": (HEAD + "grid: {widths: [64, 100]}", ("widths = 100", "head")),
    "base width not divisible": (HEAD + "base: {width: 50}", ("base.width = 50", "head")),
    "check width not divisible": (HEAD + "check: {widths: [33, 64]}", ("check.widths = 33", "head")),
    "unknown model option": (HEAD + "model: {options: {hed_size: 16}}", ("model.options.hed_size", "head_size")),
    "nonsense model option": (HEAD + "model: {options: {head_size: big}}", ("model.options",)),
    "head size of zero": (HEAD + "model: {options: {head_size: 0}}", ("head_size",)),
    "factory of the wrong form": (HEAD + "model: {factory: bert}", ("model.factory", "package.module:name")),
    "unknown role": (HEAD + "model: {roles: {'*.w': hiden}}", ("model.roles.*.w", "'hiden'", "mean 'hidden'?")),
    "unknown init": (
        HEAD + "model: {init: {'*.b': bilt}}",
        ("model.init.*.b", "'bilt'", "'rule', 'built', 'rescale' or 'zeros'", "mean 'built'?"),
    ),
    "unknown rule": (HEAD + "grid: {rules: [supr]}", ("grid.rules[0]", "'supr'", "mean 'supar'?")),
    "unknown expected rule": (HEAD + "verdict: {expect_stable: [mupp]}", ("verdict.expect_stable[0]", "mean 'mup'?")),
    "unknown rule to tune with": (HEAD + "tune: {rule: best}", ("tune.rule", "'best'", "under `rules`")),
    "own rule of a shipped name": (HEAD + "rules: {mup: {adamw: {}}}", ("rules.mup", "ships")),
    "own rule without a table": (HEAD + "rules: {mine: 3}", ("rules.mine", "table")),
    "own rule like nothing": (HEAD + "rules: {mine: {like: mupp}}", ("rules.mine.like", "mean 'mup'?")),
    "own rule with a bad power": (
        HEAD + "rules: {mine: {adamw: {hidden: {lr: {width: x}}}}}",
        ("rules.mine.adamw", "'x'"),
    ),
    "variant of nothing": (
        HEAD + "grid: {variants: {v: {training.decy: coupled}}}",
        ("grid.variants.v", "training.decy"),
    ),
    "variant of the grid": (HEAD + "grid: {variants: {v: {grid.seeds: 1}}}", ("grid.variants.v", "'grid.seeds'")),
    "variant of the proxy": (HEAD + "grid: {variants: {v: {base.width: 32}}}", ("grid.variants.v", "base.lr")),
    "variant with a bad value": (
        HEAD + "grid: {variants: {v: {training.steps: 0}}}",
        ("grid.variants.v", "training.steps"),
    ),
    "variant that does not fit": (
        HEAD + "grid: {variants: {v: {model.options: {head_size: 48}}}}",
        ("grid.variants.v", "base.width = 64"),
    ),
    "a rule's own settings of nothing": (
        HEAD + "grid: {by_rule: {sp: {base.lrr: 1}}}",
        ("grid.by_rule.sp", "'base.lrr'", "base.lr, base.init_std"),
    ),
    "a rule's own settings without a section": (HEAD + "grid: {by_rule: {sp: {lr: 1}}}", ("grid.by_rule.sp", "'lr'")),
    "settings of a rule that nobody knows": (
        HEAD + "grid: {by_rule: {spp: {base.lr: 1}}}",
        ("grid.by_rule.spp", "unknown rule", "mean 'sp'?"),
    ),
    "a rule's own value out of range": (
        HEAD + "grid: {by_rule: {sp: {base.lr: -1}}}",
        ("grid.by_rule.sp", "base.lr", "above 0"),
    ),
    "a rule's own model that does not fit": (
        HEAD + "grid: {by_rule: {sp: {model.options: {head_size: 48}}}}",
        ("grid.by_rule.sp", "base.width = 64"),
    ),
    "settings of the rule that is tuned": (
        HEAD + "tune: {rule: sp}\ngrid: {by_rule: {sp: {base.lr: 1}}}",
        ("grid.by_rule.sp", "proxy search tunes", "tune.rule"),
    ),
    "a variant that says what a rule has already": (
        HEAD + "grid: {by_rule: {sp: {training.steps: 7}}, variants: {v: {training.steps: 7}, w: {}}}",
        ("grid.variants.w", "the settings of 'v'"),
    ),
    "2:4 at another density": (
        HEAD + "sparsity: {kind: '2:4'}\ngrid: {densities: [1, 1/4]}",
        ("grid.densities", "found 0.25", "0.5 (2/4) or 1"),
    ),
    "4:2": (HEAD + "sparsity: {kind: '4:2'}", ("sparsity.kind", "n ≤ m")),
    "no cell left": (HEAD + "grid: {min_nonzeros: 1000}", ("grid.min_nonzeros", "no cell")),
    "telescope down": (HEAD + "tune: {strategy: telescope, telescope_widths: [64, 32]}", ("telescope_widths", "rise")),
    "missing data file": (HEAD + "data: {source: text, path: gone.txt}", ("data.path", "no such file", "gone.txt")),
    "data file of an impossible name": (HEAD + "data: {source: text, path: " + "x" * 5000 + "}", ("data.path",)),
    "multiples of nothing": (
        HEAD + "base: {weight_decay: 0}\ngrid: {sweep: {weight_decay: {multiples: [1, 2]}}}",
        ("grid.sweep.weight_decay.multiples", "0, 0", "base value above 0"),
    ),
    "a variant's multiples of nothing": (
        HEAD + "grid: {sweep: {weight_decay: {multiples: [1, 2]}}, variants: {v: {base.weight_decay: 0}}}",
        ("grid.variants.v: grid.sweep.weight_decay.multiples",),
    ),
    "two variants of the same settings": (
        HEAD + "grid: {variants: {v: {training.steps: 200}, w: {}}}",
        ("grid.variants.w", "the settings of 'v'"),
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_does_not_fit_is_refused_by_one_message_that_names_the_field(kind: str) -> None:
    text, words = BAD[kind]
    with pytest.raises(InputError) as caught:
        checked(text)
    for word in words:
        assert word in str(caught.value)


def test_a_matrix_may_be_said_to_be_stored_the_other_way_round() -> None:
    assert checked(HEAD + "model: {roles: {'*.w': hidden^T}}").model.roles == {"*.w": "hidden^T"}


def test_no_code_of_the_users_own_is_run() -> None:
    own = "no_such_package:thing"
    study = checked(
        f"name: a\nmodel: {{factory: '{own}'}}\ntask: '{own}'\ntrainer: '{own}'\ntraining: {{optimizer: '{own}'}}\n"
        f"sparsity: {{method: '{own}'}}\ngrid: {{sweep: {{'{own}': {{multiples: [1, 2]}}}}}}"
    )
    assert study.grid.sweep[own].multiples == (1.0, 2.0)


def test_what_a_search_may_lift_above_0_may_be_swept_by_multiples() -> None:
    space = "{weight_decay: {low: 0.01, high: 0.1}}"
    checked(
        f"name: a\nbase: {{weight_decay: 0}}\ntune: {{space: {space}}}\n"
        "grid: {sweep: {weight_decay: {multiples: [1, 2]}}}"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base: {width: 128}\ngrid: {widths: [64]}", "wider than the target width 64"),
        ("grid: {densities: [1, 1/32]}", "2 weights per neuron"),
        ("grid: {lr_multiples: [1/2, 1, 2]}", "3 point(s)"),
        ("grid: {seeds: 1}", "one seed"),
        ("grid: {rules: [sp]}", "names supar"),
    ],
)
def test_what_runs_but_may_not_answer_is_said(text: str, words: str) -> None:
    assert any(words in warning for warning in study_warnings(checked("name: a\n" + text)))


def test_five_values_of_any_axis_are_enough() -> None:
    five = "grid: {sweep: {weight_decay: {multiples: [1/4, 1/2, 1, 2, 4]}}}"
    assert not any("point(s)" in warning for warning in study_warnings(checked("name: a\n" + five)))


def test_the_shipped_quickstart_and_smoke_need_no_warning() -> None:
    for name in ("quickstart", "smoke"):
        warnings = study_warnings(read_study(SWEEPS / f"{name}.yaml"))
        assert warnings == []
