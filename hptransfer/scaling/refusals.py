"""What a rule must know of a model and nothing tells: refused by name, before a number is computed."""

from __future__ import annotations

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import build_model
from hptransfer.scaling.facts import Survey
from hptransfer.scaling.rules import NO_CHANGE
from hptransfer.scaling.target import Target

__all__ = ["check_branches", "check_depth", "check_heads"]


def check_depth(target: Target) -> None:
    """Refuse another depth than the base's for a factory that builds the same model at both."""
    if target.depth == target.base_depth or target.depth is None or target.base_depth is None:
        return
    at_depths = (build_model(target.build, target.width, d, device="meta") for d in (target.depth, target.base_depth))
    shapes, base_shapes = ({n: tuple(p.shape) for n, p in model.named_parameters()} for model in at_depths)
    if shapes == base_shapes:
        raise InputError(
            "the factory ignores 'depth': no parameter was added or changed",
            where="build",
            found=f"depth {target.depth} and {target.base_depth}",
            hint="let it take `depth` and build as many blocks, or hold the depth (base.depth, grid.depths)",
        )


def check_heads(target: Target, found: Survey) -> None:
    """Refuse growing heads whose queries nobody knows, under a rule that scales attention logits."""
    if target.rule.attention == NO_CHANGE:
        return
    if found.unclaimed_heads:
        module, size, base_size = found.unclaimed_heads[0]
        raise InputError(
            f"attention heads grow from {base_size} to {size}, and the rule scales attention logits with the head size,"
            " but which parameter projects the queries is not known",
            where=module or "build",
            found=found.unclaimed_why or None,
            hint="hold the head size fixed (more heads with width); or name the module's weight that makes the queries:"
            ' model.queries in a study file, queries=("*.q_proj.weight",) in Python, attention_queries on the model; or'
            " say [] where nothing is to be scaled, since the model itself keeps its logits level",
        )
    if found.untraced:
        raise InputError(
            "the model's forward pass could not be traced, so whether its attention heads grow is not known",
            where="build",
            found=found.untraced,
            hint="hand over what it is called with (sample=(tokens, mask) in Python); or name the query projections"
            ' (model.queries: ["*.q_proj.weight"] in a study file, queries= in Python), [] where none is to be scaled',
        )


def check_branches(target: Target, found: Survey) -> None:
    """Refuse a rule that scales residual branches with the depth where no matrix is known to write one."""
    if not target.rule.cell(target.optimizer, "residual", "multiplier").depth:
        return
    writers = [fact for fact in found.tensors if fact.role == "residual"]
    lost = [fact.name for fact in writers if not fact.uses[0].at]
    if writers and not lost:
        return
    raise InputError(
        f"the rule '{target.rule.name}' scales residual branches with the depth, and"
        + (
            " this one has no module of its own on which a multiplier could act"
            if lost
            else " no matrix is known to write to the residual stream"
        ),
        where=lost[0] if lost else "build",
        hint="make an nn.Linear of it, so that there is an output to multiply"
        if lost
        else 'say it: roles={"blocks.*.out.weight": "residual"} (model.roles in a study file), or on the model:'
        " residual_outputs",
    )
