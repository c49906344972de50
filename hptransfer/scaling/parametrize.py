"""A rule applied to a user's own model, for a training loop of their own.

    p = parametrize(build, width=2048, base_width=256, rule="supar", density=1/16, base=BaseHPs(lr=2**-7))
    optimizer = torch.optim.AdamW(p.param_groups, betas=(0.9, 0.95))
    for step, batch in enumerate(batches):
        set_lr(optimizer, schedule(step))          # the base LR; every group keeps its own scale
        loss(p.model, batch).backward(); optimizer.step(); optimizer.zero_grad()

Masks, multipliers and what they belong to are buffers and names of the model: they survive `state_dict`, `deepcopy`,
`pickle`, `torch.compile`, DDP and FSDP2. `p.fold()` is the trained model without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import build_model
from hptransfer.scaling.fold import fold
from hptransfer.scaling.init_cautions import init_cautions
from hptransfer.scaling.initialise import initial_tensor
from hptransfer.scaling.mask_hooks import arm, attach_masks
from hptransfer.scaling.multipliers import attach_multipliers
from hptransfer.scaling.rules import Rule, get_rule
from hptransfer.scaling.table import TensorScale, scale_table
from hptransfer.scaling.target import Target
from hptransfer.scaling.trace.sample import sample_of
from hptransfer.sparsity.masks import empty_rows
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DecayMode, SparsitySpec

__all__ = ["EmptyRowWarning", "InitWarning", "Parametrized", "parametrize", "parametrize_target", "set_lr"]


class EmptyRowWarning(UserWarning):
    """A mask leaves outputs without any weight: they are dead from the start."""


class InitWarning(UserWarning):
    """What the factory built is written over, or no hidden matrix may ever move."""


@dataclass(frozen=True)
class Parametrized:
    """A model, initialised, masked and with its multipliers, and the param groups to train it with."""

    model: nn.Module
    table: tuple[TensorScale, ...]
    optimizer: str = "adamw"
    """The rule's table that the param groups follow."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """For `torch.optim`: tensors of one (LR, decay, eps) a group, with `name`, `tensors`, `lr`, `lr_scale`,
        `weight_decay`, `eps`. A scheduler that writes absolute LRs must multiply by `lr_scale`: see `set_lr`.

        Of the parameters that the model has when asked: ask after `fully_shard`, which puts others in place.
        """
        arm(self.model)
        return _groups(self.model, self.table, self.optimizer)

    def fold(self, *, untie: bool = False) -> nn.Module:
        """A copy of the model as its author wrote it, with the multipliers in its weights: see `scaling.fold`."""
        return fold(self.model, untie=untie)


def parametrize(
    build: Callable[..., nn.Module],
    *,
    width: int,
    base_width: int,
    rule: str | Rule = "supar",
    density: float = 1.0,
    base: BaseHPs | None = None,
    seed: int = 0,
    optimizer: str = "adamw",
    decay: DecayMode = "independent",
    sparsity: SparsitySpec | None = None,
    eps: float = 1e-8,
    depth: int | None = None,
    base_depth: int | None = None,
    roles: Mapping[str, str] | None = None,
    init: Mapping[str, str] | None = None,
    queries: Sequence[str] | None = None,
    sample: Any = None,
    allow_narrower: bool = False,
) -> Parametrized:
    """Build `build(width=…)` and apply the rule to it.

    `base` are the HPs tuned at `base_width`, dense; `optimizer` is the table of the rule. By pattern of a parameter's
    name `roles` says what it is where that cannot be told, `init` how it starts (`rule`, `built`, `rescale` or `zeros`,
    see `init_policy`), `queries` which ones project queries; `()`: none is to be scaled. `sample` is what the model is
    called with (a tensor, a tuple, or a dict by argument) where that is not token ids: its forward pass is traced, to
    see what makes its queries and what writes to its residual stream. A base wider than the target is refused unless
    `allow_narrower` says that it is meant. Masks are those that the sparsity's method starts with; what moves them is
    the trainer's affair.
    """
    if width < base_width and not allow_narrower:
        raise InputError(
            "the target is narrower than the base",
            where="width",
            found=f"width {width}, base_width {base_width}",
            hint="swap them, or say allow_narrower=True if you mean it",
        )
    target = Target(
        build=build,
        width=width,
        base_width=base_width,
        rule=get_rule(rule),
        depth=depth,
        base_depth=base_depth,
        optimizer=optimizer,
        decay=decay,
        density=density,
        sparsity=sparsity or SparsitySpec(),
        base=base or BaseHPs(),
        eps=eps,
        roles=roles or {},
        init=init or {},
        queries=None if queries is None else tuple(queries),
        sample=None if sample is None else sample_of(sample),
    )
    return parametrize_target(target, seed)


def parametrize_target(target: Target, seed: int) -> Parametrized:
    """The same for a target that is put together already."""
    table = scale_table(target)
    for caution in init_cautions(table):
        warnings.warn(caution, InitWarning, stacklevel=3)
    # The seed is for what the rule leaves as the factory built it.
    model = build_model(target.build, target.width, target.depth, seed=seed)
    masks = _initialise(model, table, seed, target.sparsity)
    _warn_of_empty_rows(table, masks)
    attach_multipliers(model, table)
    attach_masks(model, masks)
    return Parametrized(model, table, target.optimizer)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every param group its LR for a base LR of `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def _initialise(model: nn.Module, table: Sequence[TensorScale], seed: int, sparsity: SparsitySpec) -> dict[str, Tensor]:
    masks: dict[str, Tensor] = {}
    with torch.no_grad():
        for scale in table:
            parameter = model.get_parameter(scale.name)
            built = parameter.detach().float().cpu() if scale.from_factory else None
            value, mask = initial_tensor(scale, seed, sparsity, built)
            parameter.copy_(value)
            if mask is not None:
                masks[scale.name] = mask.to(parameter.device)
    return masks


def _warn_of_empty_rows(table: Sequence[TensorScale], masks: Mapping[str, Tensor]) -> None:
    dims = {scale.name: scale.out_dims for scale in table}
    empty = {name: n for name, mask in masks.items() if (n := empty_rows(mask, dims[name]))}
    if empty:
        named = ", ".join(f"{name} ({n})" for name, n in empty.items())
        warnings.warn(f"outputs without any weight left: {named}", EmptyRowWarning, stacklevel=4)


def _groups(model: nn.Module, table: Sequence[TensorScale], optimizer: str) -> list[dict[str, Any]]:
    """Tensors of one setting together: a few large groups keep the optimizer's fused path fast."""
    settings: dict[tuple[float, float, float], list[TensorScale]] = {}
    for scale in table:
        settings.setdefault((scale.lr_scale, scale.weight_decay, scale.eps), []).append(scale)
    groups: list[dict[str, Any]] = []
    for (lr_scale, weight_decay, eps), scales in settings.items():
        roles = "+".join(dict.fromkeys(s.role for s in scales))
        used = sum(g["name"].partition("/")[0] == roles for g in groups)
        groups.append(
            {
                "name": f"{roles}/{used + 1}" if used else roles,
                "params": [model.get_parameter(s.name) for s in scales],
                "tensors": [s.name for s in scales],
                "lr": scales[0].lr,
                "lr_scale": lr_scale,
                "weight_decay": weight_decay,
                **({"eps": eps} if optimizer != "sgd" else {}),
            }
        )
    return groups
