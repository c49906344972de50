"""YAML as study files use it: plain values only, numbers as people write them, nothing twice, nothing endless.

PyYAML parses into nodes; the nodes become values here, so that no constructor with surprises (dates, binary, Python
objects) is ever called. Plain scalars follow YAML 1.2: `1e-3` is a number, `no` and `1:30` are text; `4_000_000` is a
number, as in YAML 1.1.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from hptransfer.common.errors import InputError

__all__ = ["parse_yaml", "write_yaml"]

MOST_DEPTH = 32
MOST_VALUES = 20_000
_PREFIX = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", re.compile(r"^[-+]?[0-9]+(?:_[0-9]+)*$"), list("-+0123456789")),
    (
        "float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
    ("merge", re.compile(r"^<<$"), ["<"]),
)


class _Loader(yaml.SafeLoader):
    """Composes nodes with the scalars above, and stops at a depth or a length that no study needs."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    depth = 0
    count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.count += 1
        if self.count > MOST_VALUES:
            raise InputError(f"holds more than {MOST_VALUES} values")
        if self.depth > MOST_DEPTH:
            raise InputError(f"is nested more than {MOST_DEPTH} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes every text that either this reader or a YAML 1.1 reader would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_PREFIX + _name, _pattern, _first)
    _Dumper.add_implicit_resolver(_PREFIX + _name, _pattern, _first)


def parse_yaml(text: str) -> Any:
    """The one document in `text` as dicts, lists and plain values. Anything else is an `InputError`."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        # A star begins an alias in YAML, and most patterns of parameter names.
        hint = 'put a pattern that begins with * in quotes: "*.weight"' if "alias" in (error.context or "") else ""
        raise InputError(f"is not YAML: {error.problem or error.context}{where}", hint=hint) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets a few ValueErrors through, such as for an escape beyond Unicode.
        raise InputError(f"is not YAML: {str(error).splitlines()[0]}") from None
    if node is None:
        return None
    _measure(node, 0, {})
    return _value(node, "")


def write_yaml(tree: object) -> str:
    """Plain values as YAML text that `parse_yaml` reads back to equal values."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _measure(node: yaml.Node, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """(values, height) of a node once every alias is written out: a few lines of aliases can stand for billions."""
    if depth > MOST_DEPTH:
        raise InputError(f"is nested more than {MOST_DEPTH} levels deep, or an alias holds itself")
    if id(node) not in known:
        below = [_measure(child, depth + 1, known) for child in _children(node)]
        known[id(node)] = 1 + sum(count for count, _ in below), max((height + 1 for _, height in below), default=0)
    count, height = known[id(node)]
    if count > MOST_VALUES or depth + height > MOST_DEPTH:
        raise InputError(
            f"holds more than {MOST_VALUES} values or {MOST_DEPTH} levels once its aliases are written out"
        )
    return count, height


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _value(node: yaml.Node, where: str) -> Any:
    if isinstance(node, yaml.MappingNode) and node.tag == _PREFIX + "map":
        return _mapping(node, where)
    if isinstance(node, yaml.SequenceNode) and node.tag == _PREFIX + "seq":
        return [_value(child, f"{where}[{i}]") for i, child in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, where)
    raise _refused(f"the tag {node.tag!r} is not allowed", node, where)


def _mapping(node: yaml.MappingNode, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == _PREFIX + "merge":
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(source, yaml.MappingNode):
                    raise _refused("only mappings can be merged with '<<'", key_node, where)
                merged = _mapping(source, where) | merged
            continue
        key = _scalar(key_node, where) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise _refused("a key must be text", key_node, where)
        path = f"{where}.{key}" if where else key
        if key in found:
            raise _refused("the key appears twice", key_node, path)
        found[key] = _value(value_node, path)
    return merged | found


def _scalar(node: yaml.ScalarNode, where: str) -> Any:
    kind, text = node.tag.removeprefix(_PREFIX), str(node.value)
    pattern = next((p for name, p, _ in _SCALARS if name == kind), None)
    if kind in ("str", "merge"):
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise _refused("the text holds half a surrogate pair", node, where)
        return text
    if pattern is None or not pattern.match(text):
        raise _refused(f"the tag {node.tag!r} is not allowed here", node, where)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and len(text) <= 30:
        return int(text)
    number = math.nan if text.lower().lstrip("+-.") in ("inf", "nan") else float(text)
    if kind == "int" or not math.isfinite(number):
        raise _refused(f"the number must be finite and of a reasonable size, found {text[:40]}", node, where)
    return number


def _refused(problem: str, node: yaml.Node, where: str) -> InputError:
    line = f"line {node.start_mark.line + 1}"
    return InputError(problem, where=f"{where} ({line})" if where else line)
