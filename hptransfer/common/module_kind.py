"""Modules of one kind: those whose names differ in numbers alone."""

from __future__ import annotations

import re

__all__ = ["module_kind"]


def module_kind(module: str) -> str:
    """`blocks.0.ffn.up` → `blocks.*.ffn.up`."""
    return re.sub(r"(^|\.)\d+(?=\.|$)", r"\1*", module)
