"""The scale table of a small GPT, by the name of the tensor."""

from __future__ import annotations

from functools import partial

from hptransfer.scaling.rules import get_rule
from hptransfer.scaling.table import scale_table
from hptransfer.scaling.target import Target
from hptransfer.study.base import BaseHPs
from hptransfer.tasks.models.gpt import GPT

gpt = partial(GPT, head_size=16, vocab_size=32, context=16, bias=True)
BASE = BaseHPs(lr=2.0**-7, init_std=0.08, alpha_input=3.0, alpha_output=2.0, weight_decay=0.1)


def rows(width=128, rule="supar", density=1.0, *, build=gpt, base_width=32, depth=2, base=BASE, **settings):
    target = Target(
        build=build,
        width=width,
        base_width=base_width,
        rule=get_rule(rule) if isinstance(rule, str) else rule,
        depth=depth,
        base_depth=2,
        density=density,
        base=base,
        **settings,
    )
    return {scale.name: scale for scale in scale_table(target)}
