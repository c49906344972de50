"""A rule is a table of exponents; these are the published ones, written out."""

import pickle

import pytest

from hptransfer.common.errors import InputError
from hptransfer.scaling.rules import (
    QUANTITIES,
    ROLES,
    Exponents,
    Rule,
    get_rule,
    known_rules,
    register_rule,
    rule_from_table,
)


def test_the_shipped_rules():
    assert known_rules()[:5] == ("sp", "mup", "supar", "supar_init_only", "supar_lr_only")


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_sp_changes_nothing(optimizer):
    for role in ROLES:
        for quantity in QUANTITIES:
            assert get_rule("sp").cell(optimizer, role, quantity) == Exponents()


@pytest.mark.parametrize(
    ("rule", "init_density", "lr_density"),
    [("mup", 0, 0), ("supar", -0.5, -1), ("supar_init_only", -0.5, 0), ("supar_lr_only", 0, -1)],
)
@pytest.mark.parametrize("role", ["hidden", "residual"])
def test_hidden_cells_of_adam(rule, role, init_density, lr_density):
    chosen = get_rule(rule)
    assert chosen.cell("adamw", role, "init_std") == Exponents(width=-0.5, density=init_density)
    assert chosen.cell("adamw", role, "lr") == Exponents(width=-1, density=lr_density)
    assert chosen.cell("adamw", role, "eps") == Exponents(width=-1)


def test_what_does_not_grow_on_both_sides_keeps_init_and_lr():
    for role in ("embedding", "readout", "vector"):
        for quantity in ("init_std", "lr", "weight_decay"):
            assert get_rule("supar").cell("adamw", role, quantity) == Exponents()
    assert get_rule("supar").cell("adamw", "readout", "multiplier") == Exponents(width=-1)
    assert get_rule("supar").attention == Exponents(width=-0.5)


def test_sgd_cells():
    supar = get_rule("supar")
    assert supar.cell("sgd", "hidden", "lr") == Exponents(width=-1, width_out=1, density=-1)
    assert supar.cell("sgd", "readout", "lr") == Exponents(width=1)
    assert supar.cell("sgd", "embedding", "lr") == supar.cell("sgd", "vector", "lr") == Exponents(width_out=1)


def test_completep_adds_a_depth_column_and_drops_the_init_of_gpt2():
    rule = get_rule("completep")
    assert rule.cell("adamw", "residual", "multiplier") == Exponents(depth=-1)
    assert rule.cell("adamw", "hidden", "eps") == Exponents(width=-1, depth=-1)
    assert rule.residual_init == "none"
    with pytest.raises(InputError, match=r"no table for this optimizer.*'sgd'"):
        rule.cell("sgd", "hidden", "lr")


def test_a_factor_by_hand():
    cell = Exponents(width=-1, density=-0.5, depth=2, width_out=1)
    assert cell.factor(width=4, density=0.25, depth=3, width_out=8) == pytest.approx(8 / 4 * 2 * 9)
    assert cell.factor(width=1) == 1.0
    assert str(Exponents(width=-0.5, density=-1)) == "width^-1/2 density^-1"


def test_unknown_rule_lists_the_known_ones():
    with pytest.raises(InputError, match=r"unknown rule.*'supra'.*sp, mup, supar"):
        get_rule("supra")


def test_a_table_as_written_in_yaml():
    rule = rule_from_table("mine", {"adamw": {"hidden": {"lr": {"width": -1, "density": "-1/2"}}}})
    assert rule.cell("adamw", "hidden", "lr") == Exponents(width=-1, density=-0.5)
    assert rule.cell("adamw", "residual", "lr") == Exponents(width=-1, density=-0.5)  # as hidden, unless said
    assert rule.cell("adamw", "embedding", "lr") == Exponents()


def test_like_starts_from_a_known_rule():
    rule = rule_from_table("mine", {"like": "supar", "adamw": {"readout": {}}})
    assert rule.cell("adamw", "hidden", "lr") == Exponents(width=-1, density=-1)
    assert rule.cell("adamw", "readout", "multiplier") == Exponents()
    assert rule.cell("sgd", "readout", "lr") == Exponents(width=1)
    assert rule.attention == Exponents(width=-0.5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"adam": {}}, r"rules\.mine: unknown key; found 'adam'; allowed: adamw, sgd"),
        ({}, r"rules\.mine: a rule needs a table for an optimizer"),
        ([], r"rules\.mine: must be a mapping"),
        ({"adamw": {"hiden": {}}}, r"rules\.mine\.adamw: unknown key; found 'hiden'; allowed: embedding, hidden"),
        ({"adamw": {"hidden": {"rate": {}}}}, r"rules\.mine\.adamw\.hidden: unknown key; found 'rate'"),
        ({"adamw": {"hidden": {"lr": -1}}}, r"rules\.mine\.adamw\.hidden\.lr: must be a mapping"),
        ({"adamw": {"hidden": {"lr": {"width": "x"}}}}, r"hidden\.lr\.width: not an exponent; found 'x'"),
        ({"adamw": {"hidden": {"lr": {"width": True}}}}, r"hidden\.lr\.width: not an exponent"),
        ({"adamw": {"hidden": {"lr": {"width": float("nan")}}}}, r"hidden\.lr\.width: not an exponent"),
        ({"adamw": {"hidden": {"multiplier": {"width": -1}}}}, r"a hidden tensor has no forward multiplier"),
        ({"adamw": {}, "residual_init": "gpt3"}, r"rules\.mine\.residual_init: .*gpt2, none"),
        ({"adamw": {}, "attention": {"density": 1}}, r"rules\.mine\.attention: unknown key; found 'density'"),
        ({"like": "nobody", "adamw": {}}, r"unknown rule"),
    ],
)
def test_a_bad_table_is_refused_by_its_cell(table, message):
    with pytest.raises(InputError, match=message):
        rule_from_table("mine", table)


@pytest.mark.parametrize("name", known_rules())
def test_a_rule_survives_its_table_and_pickle(name):
    rule = get_rule(name)
    assert rule_from_table(name, rule.to_table()).digest() == rule.digest()
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert hash(pickle.loads(pickle.dumps(rule))) == hash(rule)


def test_digest_is_of_the_numbers_not_of_the_name():
    table = get_rule("supar").to_table()
    assert rule_from_table("other", table).digest() == get_rule("supar").digest()
    assert get_rule("mup").digest() != get_rule("supar").digest()


def test_a_known_name_keeps_its_meaning():
    assert register_rule(get_rule("mup")) is get_rule("mup")
    with pytest.raises(InputError, match="another table"):
        register_rule(rule_from_table("mup", {"adamw": {}}))


def test_like_keeps_a_residual_role_of_its_own():
    """CompleteP's branch multiplier stays when only `hidden` is rewritten."""
    rule = rule_from_table("mine", {"like": "completep", "adamw": {"hidden": {"lr": {"width": -1, "density": -1}}}})
    assert rule.cell("adamw", "residual", "multiplier") == Exponents(depth=-1)
    assert rule.cell("adamw", "hidden", "lr") == Exponents(width=-1, density=-1)


def test_a_rule_built_in_python_is_the_same_after_a_pickle():
    rule = Rule("mine", {"adamw": {"hidden": {"lr": Exponents(width=-1)}}})
    assert rule.cell("adamw", "residual", "lr") == Exponents(width=-1)  # a residual projection is a hidden matrix
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert rule_from_table("mine", rule.to_table()).digest() == rule.digest()
