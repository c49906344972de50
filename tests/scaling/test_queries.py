"""Growing heads: whose queries a rule scales, and which module nobody spoke for."""

from __future__ import annotations

from torch import nn

from hptransfer.scaling.roles import survey
from hptransfer.tasks.models.gpt import GPT


def grown(**options):
    """A GPT with a fixed number of heads, at twice its base width."""
    return lambda width, depth=1: GPT(width=width, depth=depth, vocab_size=8, context=4, heads=2, **options)


def ratios(found) -> dict[str, float]:
    return {fact.name: fact.head_ratio for fact in found.tensors if fact.head_ratio is not None}


def test_the_queries_that_a_model_declares_are_marked() -> None:
    found = survey(grown(), width=32, base_width=16, depth=1)
    assert ratios(found) == {"blocks.0.attention.query.weight": 2.0}
    assert found.unclaimed_heads == ()


def test_heads_of_a_fixed_size_ask_for_nothing() -> None:
    build = lambda width, depth=1: GPT(width=width, depth=depth, vocab_size=8, context=4, head_size=8)  # noqa: E731
    assert ratios(survey(build, width=32, base_width=16, depth=1)) == {}


def test_a_model_that_scales_itself_says_that_it_needs_nothing() -> None:
    found = survey(grown(base_head_size=8), width=32, base_width=16, depth=1)
    assert ratios(found) == {}
    assert found.unclaimed_heads == ()


def test_a_silent_model_is_named_with_its_sizes() -> None:
    class Silent(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.embed, self.attention, self.readout = nn.Embedding(8, width), nn.Module(), nn.Linear(width, 8)
            self.attention.query, self.attention.head_dim = nn.Linear(width, width), width // 2

    found = survey(Silent, width=32, base_width=16)
    assert found.unclaimed_heads == (("attention", 16, 8),)
    told = survey(Silent, width=32, base_width=16, queries=("*.query.weight",))
    assert ratios(told) == {"attention.query.weight": 2.0}
    assert told.unclaimed_heads == ()
