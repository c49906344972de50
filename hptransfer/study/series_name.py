"""The name of a series: a rule, or a rule and one of the study's variants."""

from __future__ import annotations

__all__ = ["series_name", "split_series"]

_BETWEEN = " · "


def series_name(rule: str, variant: str = "") -> str:
    """`rule`, or `rule · variant`."""
    return f"{rule}{_BETWEEN}{variant}" if variant else rule


def split_series(name: str) -> tuple[str, str]:
    """(rule, variant) of a name; the variant is empty where there is none."""
    rule, _, variant = name.partition(_BETWEEN)
    return rule, variant
