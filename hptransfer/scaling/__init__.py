"""Rules that carry base hyperparameters from a small dense model to every tensor of a large sparse one."""

from hptransfer.scaling.parametrize import EmptyRowWarning, Parametrized, parametrize, set_lr
from hptransfer.scaling.roles import find_roles
from hptransfer.scaling.rules import Exponents, Rule, get_rule, known_rules, register_rule, rule_from_table
from hptransfer.scaling.table import TensorScale, scale_table
from hptransfer.scaling.target import Target

__all__ = [
    "EmptyRowWarning",
    "Exponents",
    "Parametrized",
    "Rule",
    "Target",
    "TensorScale",
    "find_roles",
    "get_rule",
    "known_rules",
    "parametrize",
    "register_rule",
    "rule_from_table",
    "scale_table",
    "set_lr",
]
