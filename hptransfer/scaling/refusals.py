"""What a rule must know of a model and nothing tells: refused by name, before a number is computed."""

from __future__ import annotations

from hptransfer.common.errors import InputError
from hptransfer.scaling.facts import Survey
from hptransfer.scaling.rules import NO_CHANGE
from hptransfer.scaling.target import Target

__all__ = ["check_branches", "check_heads"]


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
            hint="hold the head size fixed (more heads with width), or name the query projections: model.queries in a"
            ' study file, queries=("*.q_proj.weight",) in Python, or on the model: attention_queries',
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
    how = 'say it: roles={"blocks.*.out.weight": "residual"} (model.roles in a study file), or on the model:'
    raise InputError(
        f"the rule '{target.rule.name}' scales residual branches with the depth, and"
        + (
            " this one has no module of its own on which a multiplier could act"
            if lost
            else " no matrix is known to write to the residual stream"
        ),
        where=lost[0] if lost else "build",
        hint=f"{how} residual_outputs",
    )
