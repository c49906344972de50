"""The scale table for people and for other trainers: rows, a text table, JSON, YAML, and a snippet without us."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hptransfer.common.choices import ExportForm
from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import MARK
from hptransfer.scaling.init_cautions import init_cautions
from hptransfer.scaling.table import TensorScale, TiedUse, expected_empty_rows, scale_table
from hptransfer.scaling.target import Target

__all__ = ["cautions", "explain_rows", "explain_text", "export_text"]

_TORCH = {"adamw": ("AdamW", ', "eps": eps'), "sgd": ("SGD", "")}
"""Of a rule's table, the optimizer in `torch.optim` and what its param groups hold besides."""

LEAST_REASON = 30
"""Columns of a terminal below which a reason is better off on a line of its own."""


def explain_rows(target: Target) -> list[dict[str, Any]]:
    """One plain dict per tensor (see `_row`).

    `init_std` is None where the tensor is neither drawn from a normal nor rescaled. A tied readout has a row of its
    own for its multiplier; what it shares is repeated there, and its `source` says `shared with …`.
    """
    return [_row(scale, use) for scale in scale_table(target) for use in scale.uses]


def cautions(target: Target) -> list[str]:
    """What a reader should know before training: of the init, and of tensors whose mask is expected to leave outputs
    without a weight."""
    table = scale_table(target)
    said = init_cautions(table)
    for scale in table:
        expected = expected_empty_rows(scale, target.sparsity.kind)
        if expected >= 0.5:
            weights = scale.density * scale.fan_in
            said.append(
                f"{scale.name}: about {expected:.0f} of {scale.shape[scale.out_dims[0]]} outputs will have no weight"
                f" ({weights:.1f} weights per output); kind `row` keeps them equal"
            )
    return said


def explain_text(rows: Sequence[Mapping[str, Any]], *, width: int | None = None) -> str:
    """The rows as a table of fixed-width text. Layers that differ in nothing but their number share a line.

    Where `width` has no room for the reasons beside the numbers they follow below; a number is never cut.
    """
    merged, width = _merged(rows), width or 200
    numbers = Console(width=10_000).measure(_table(merged, reasons=False)).maximum
    beside = width - numbers >= LEAST_REASON
    out = io.StringIO()
    Console(file=out, width=max(width, numbers), color_system=None).print(_table(merged, reasons=beside))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    if not beside:
        lines += ["", *(f"{name}: {row['source']}" for row, name in merged)]
    return "\n".join(lines) + "\n"


def _table(merged: Sequence[tuple[Mapping[str, Any], str]], *, reasons: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("tensor", "role", "shape", "density", "init", "lr", "decay", "eps", "multiplier"):
        right = column in ("density", "lr", "decay", "eps")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    if reasons:
        table.add_column("because", overflow="fold")
    for row, name in merged:
        size = "" if row["init_std"] is None else f"{row['init_std']:.4g}"
        init = size if row["init"] == "normal" else f"{row['init']} {size}".strip()
        part = "part of the " if row["multiplier_rows"] else ""
        at = f"{row['multiplier']:.4g} on {part}{row['multiplier_at']}" if row["multiplier_at"] else "-"
        table.add_row(
            name,
            row["role"],
            "×".join(map(str, row["shape"])),
            f"{row['density']:.4g}",
            init,
            f"{row['lr']:.4g}",
            f"{row['weight_decay']:.4g}",
            f"{row['eps']:.3g}",
            at,
            *([row["source"]] if reasons else []),
        )
    return table


def export_text(rows: Sequence[Mapping[str, Any]], form: str, *, optimizer: str = "adamw") -> str:
    """The rows for another trainer: `json`, `yaml`, or `python`, a snippet that needs torch alone."""
    if form == "json":
        return json.dumps(list(rows), indent=2) + "\n"
    if form == "yaml":
        text: str = yaml.safe_dump([dict(row) for row in rows], sort_keys=False, allow_unicode=True)
        return text
    if form != "python":
        raise InputError("unknown export format", where="format", found=form, allowed=", ".join(get_args(ExportForm)))
    if optimizer not in _TORCH:
        raise InputError(
            "the Python snippet needs torch alone, which has no such optimizer",
            where="training.optimizer",
            found=optimizer,
            allowed=f"{', '.join(_TORCH)}; or the formats json and yaml, which name every tensor's settings",
        )
    # A tied name is no parameter of its own: it appears for its multiplier only.
    tensors = "".join(
        f"    {row['name']!r}: ({row['init']!r}, {row['init_std'] or 0.0!r}, {row['density']!r}, {row['lr_scale']!r},"
        f" {row['weight_decay']!r}, {row['eps']!r}),\n"
        for row in rows
        if not str(row["source"]).startswith("shared with")
    )
    multipliers = "".join(
        f"    ({row['multiplier_module']!r}, {row['multiplier_at']!r}): {_snippet_factor(row)},\n"
        for row in rows
        if row["multiplier_at"]
    )
    base_lr = next(row["lr"] / row["lr_scale"] for row in rows)
    kind, eps = _TORCH[optimizer]
    snippet = _SNIPPET.replace("@TENSORS@", tensors).replace("@MULTIPLIERS@", multipliers)
    return snippet.replace("@LR@", repr(base_lr)).replace("@KIND@", kind).replace("@EPS@", eps)


def _row(scale: TensorScale, use: TiedUse) -> dict[str, Any]:
    """The keys every reader may rely on, then, from `init` on, what another trainer needs besides."""
    shared = f"shared with {scale.name}; multiplier of {use.role}"
    return {
        "name": use.name,
        "role": use.role,
        "shape": list(scale.shape),
        "density": scale.density,
        "init_std": scale.init_std if scale.init in ("normal", "rescaled") else None,
        "lr": scale.lr,
        "weight_decay": scale.weight_decay,
        "eps": scale.eps,
        "multiplier": use.multiplier,
        "source": scale.source if use.name == scale.name else shared,
        "init": scale.init,
        "lr_scale": scale.lr_scale,
        "multiplier_at": use.multiplier_at,
        "multiplier_module": use.multiplier_buffer.rpartition(".")[0],
        "multiplier_rows": [list(ends) for ends in use.multiplier_rows],
        "multiplier_outputs": scale.outputs if use.multiplier_rows else 0,
    }


def _snippet_factor(row: Mapping[str, Any]) -> str:
    """A number; or, for a part of the outputs, what `over` makes of it."""
    if not row["multiplier_rows"]:
        return repr(row["multiplier"])
    outputs = row["multiplier_outputs"]
    return f"over({outputs!r}, {row['multiplier_rows']!r}, {row['multiplier']!r})"


def _merged(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str]]:
    """Rows that are equal but for numbers in their names, under one name: `blocks.{0,1}.ffn.up.weight`."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        pattern = ".".join("*" if part.isdigit() else part for part in row["name"].split("."))
        key = (pattern, *(str(value) for k, value in row.items() if k not in ("name", "multiplier_module")))
        groups.setdefault(key, []).append(row)
    return [
        (group[0], group[0]["name"] if len(group) == 1 else f"{key[0]} ({len(group)})") for key, group in groups.items()
    ]


_SNIPPET = f'''"""Initial values, forward multipliers and param groups of one target. Needs torch alone."""

import torch

# tensor: (init, init std or root mean square, density, LR over base LR, weight decay, eps)
TENSORS = {{
@TENSORS@}}


def over(outputs, ranges, factor):
    """The factor on some outputs of a module, from the first of a range to behind its last; 1 on the others."""
    values = torch.ones(outputs)
    for first, end in ranges:
        values[first:end] = factor
    return values


# (module, which activation): forward multiplier
MULTIPLIERS = {{
@MULTIPLIERS@}}

BASE_LR = @LR@


@torch.no_grad()
def initialise(model, seed=0):
    """Draw initial values and random masks of exact count; each mask is a buffer, and its zeros stay zero."""
    draw = torch.Generator().manual_seed(seed)
    for name, (init, std, density, *_) in TENSORS.items():
        weight = model.get_parameter(name)
        if init == "normal":
            weight.copy_(torch.randn(weight.shape, generator=draw) * std)
        elif init in ("zeros", "ones"):
            weight.fill_(float(init == "ones"))
        elif init == "rescaled" and weight.any():  # the factory's own values, at this root mean square
            weight.mul_(std / weight.square().mean().sqrt())
        if density < 1:
            mask = torch.zeros(weight.numel(), dtype=torch.bool)
            mask[torch.randperm(weight.numel(), generator=draw)[: round(density * weight.numel())]] = True
            mask = mask.view(weight.shape).to(weight.device)
            weight.mul_(mask)
            path, _, leaf = name.rpartition(".")
            model.get_submodule(path).register_buffer("{MARK}mask_" + leaf, mask)
            weight.register_hook(lambda grad, mask=mask: grad * mask)


def attach_multipliers(model):
    """Call once."""

    def scaled(value, factor):
        if isinstance(factor, torch.Tensor):
            factor = factor.to(value)
        return (value[0] * factor, *value[1:]) if isinstance(value, tuple) else value * factor

    def scaled_input(args, kwargs, factor):
        if args:
            return (args[0] * factor, *args[1:]), kwargs
        name = next((n for n in ("query", "input") if n in kwargs), next(iter(kwargs)))
        return args, {{**kwargs, name: kwargs[name] * factor}}

    for (path, at), factor in MULTIPLIERS.items():
        module = model.get_submodule(path)
        if at == "output":
            module.register_forward_hook(lambda m, args, out, f=factor: scaled(out, f))
        else:
            hook = lambda m, args, kwargs, f=factor: scaled_input(args, kwargs, f)
            module.register_forward_pre_hook(hook, with_kwargs=True)


def param_groups(model, lr=BASE_LR):
    """For torch.optim.@KIND@. A schedule that writes absolute LRs must multiply by the group's lr_scale."""
    return [
        {{"name": name, "params": [model.get_parameter(name)], "lr": lr * scale, "lr_scale": scale,
         "weight_decay": decay@EPS@}}
        for name, (_, _, _, scale, decay, eps) in TENSORS.items()
    ]
'''
