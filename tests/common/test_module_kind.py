"""Modules of one kind."""

from __future__ import annotations

from hptransfer.common.module_kind import module_kind


def test_module_kinds():
    assert module_kind("blocks.11.ffn.up") == "blocks.*.ffn.up"
    assert module_kind("0") == "*"
    assert module_kind("conv1.weight2") == "conv1.weight2"
