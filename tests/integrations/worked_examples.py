"""The worked examples of "Train the target", run as they stand on the page, and the density that they must leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from markdown_pages import ROOT, blocks
from torch import nn

from hptransfer.scaling.mask_hooks import masked_parameters

TARGET, OWN_MODEL = (ROOT / "docs" / name for name in ("train-the-target.md", "your-model.md"))


def block_named(file: str, page: Path) -> str:
    """The block of the page whose first line names it so."""
    (block,) = (b.text for b in blocks(page.read_text(encoding="utf-8")) if b.text.startswith(f"# {file}\n"))
    return block


def run_block(file: str, folder: Path) -> dict[str, Any]:
    """The names that the example has made; `folder` is where it stands and finds the page's own model."""
    (folder / "mymodel.py").write_text(block_named("mymodel.py", OWN_MODEL))
    names: dict[str, Any] = {"__name__": file.removesuffix(".py")}
    exec(compile(block_named(file, TARGET), file, "exec"), names)
    return names


def is_as_sparse_as(model: nn.Module, start: nn.Module, tensors: int) -> bool:
    """Exactly the weights that are hidden are zero, and every masked tensor has moved from where it started."""
    masks = masked_parameters(model)
    assert len(masks) == tensors
    for name, mask in masks.items():
        weight = model.get_parameter(name).detach().cpu()
        assert torch.equal(weight != 0, mask.cpu()), name
        assert not torch.equal(weight, start.get_parameter(name)), name
    return True
