"""The least that is needed to write HTML safely: text is escaped unless it is already `Markup`."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

from hptransfer.common.number_text import exponent_text

__all__ = ["Markup", "attributes", "data_block", "join", "power", "tag", "text"]


class Markup(str):
    """Text that is HTML already. Only the functions of this module and literal templates make it."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Anything as escaped text; Markup as it is; None as nothing."""
    if isinstance(value, Markup):
        return value
    return Markup("" if value is None else html.escape(str(value), quote=True))


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Escaped parts one after the other."""
    return Markup(str(text(between)).join(text(part) for part in parts))


def attributes(**given: object) -> Markup:
    """Attributes with escaped values; `class_` is class, `_` in other names is `-`; None and False leave one out."""
    out = []
    for name, value in given.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        out.append(f" {name}" if value is True else f' {name}="{text(value)}"')
    return Markup("".join(out))


def tag(name: str, *content: object, **given: object) -> Markup:
    """One element with its content, escaped."""
    return Markup(f"<{name}{attributes(**given)}>{join(content)}</{name}>")


def power(value: float, digits: int = 1) -> Markup:
    """A value as a power of two with a raised exponent; `–` for what is not positive and finite."""
    exponent = exponent_text(value, digits)
    return join(["2", tag("sup", exponent)]) if exponent else Markup("–")


def data_block(name: str, value: Any) -> Markup:
    """JSON for the page's script. No text inside can end the block: `<`, `>` and `&` are written as escapes."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        body = body.replace(char, f"\\u{ord(char):04x}")
    return Markup(f'<script type="application/json" id="data-{text(name)}">{body}</script>')
