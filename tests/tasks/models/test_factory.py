"""Built-in and imported factories come through one door, and a wrong one is refused by name."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import takes_depth
from hptransfer.study.pieces import ModelSpec
from hptransfer.tasks.models.factory import resolve_factory
from hptransfer.tasks.models.gpt import GPT
from hptransfer.tasks.models.mlp import MLP

GIVEN = {"vocab_size": 11, "context": 12}


def test_built_in_factories_get_vocabulary_and_context() -> None:
    gpt = resolve_factory(ModelSpec(options={"head_size": 8}), GIVEN)(width=16, depth=3)
    assert isinstance(gpt, GPT)
    assert (gpt.embed.num_embeddings, gpt.position.num_embeddings, len(gpt.blocks)) == (11, 12, 3)
    mlp = resolve_factory(ModelSpec(factory="mlp"), GIVEN)(width=16, depth=1)
    assert isinstance(mlp, MLP)
    assert mlp(torch.zeros(2, 12, dtype=torch.long)).shape == (2, 12, 11)


def test_a_users_factory_gets_only_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("their_models")
    module.narrow = lambda width: nn.Linear(width, width)  # type: ignore[attr-defined]
    module.wrong = lambda width: "a model"  # type: ignore[attr-defined]
    module.without_width = lambda size: nn.Linear(size, size)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_models", module)

    narrow = resolve_factory(ModelSpec(factory="their_models:narrow"), GIVEN)
    assert isinstance(narrow(width=4), nn.Linear)
    assert not takes_depth(narrow)
    assert takes_depth(resolve_factory(ModelSpec(), GIVEN))
    with pytest.raises(InputError, match=r"torch\.nn\.Module; found 'str'"):
        resolve_factory(ModelSpec(factory="their_models:wrong"), GIVEN)(width=4)
    with pytest.raises(InputError, match="keyword 'width'"):
        resolve_factory(ModelSpec(factory="their_models:without_width"), GIVEN)
    with pytest.raises(InputError, match="has no 'absent'"):
        resolve_factory(ModelSpec(factory="their_models:absent"), GIVEN)


def test_an_unknown_module_or_option_is_named() -> None:
    with pytest.raises(InputError, match="cannot import the module 'no_such_module'"):
        resolve_factory(ModelSpec(factory="no_such_module:build"), GIVEN)
    with pytest.raises(InputError, match=r"model\.options\.dropuot.*allowed: activation"):
        resolve_factory(ModelSpec(options={"dropuot": 0.1}), GIVEN)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 3}, r"model.options.depth: the study gives this itself.*base.depth"),
        ({"context": 32}, r"model.options.context: the study gives this itself.*sequence_length"),
    ],
)
def test_what_the_study_gives_is_no_option(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_factory(ModelSpec(options=options), GIVEN)


def test_a_factory_that_wants_more_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("wanting")
    module.build = lambda *, width, heads: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wanting", module)
    with pytest.raises(InputError, match=r"model.options: the factory cannot be called: missing.*'heads'"):
        resolve_factory(ModelSpec(factory="wanting:build"), GIVEN)
