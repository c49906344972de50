"""The one door through which a model's factory is found.

A factory is any function `build(*, width, …) -> nn.Module`. The module takes what its task gives it (tokens (B, T) for
`language`) and returns what the task's loss takes (logits (B, T, vocabulary)). It may declare `residual_outputs`,
patterns of the parameters that write to the residual stream.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.common.seams import MODELS
from hptransfer.study.pieces import ModelSpec

__all__ = ["parameters_of", "resolve_factory"]

Factory = Callable[..., nn.Module]

SOURCES = {
    "width": "set base.width and grid.widths",
    "depth": "set base.depth and grid.depths",
    "vocab_size": "it is that of the data",
    "context": "it is training.sequence_length",
}
"""Where an argument that a study hands to every factory comes from."""


def resolve_factory(spec: ModelSpec, arguments: Mapping[str, int]) -> Factory:
    """The factory a spec names, as `build(*, width, depth) -> nn.Module`, without `depth` where it takes none.

    The spec's options are handed on; the task's `arguments` (see `Task.model_arguments`) only where the factory's
    signature takes them. An option that the factory does not take is refused here, before anything is built.
    """
    factory: Factory = MODELS.find(spec.factory)
    if not callable(factory):
        raise InputError("is no function", where=MODELS.where, found=spec.factory, allowed=MODELS.choices)
    accepted, takes_any = parameters_of(factory, MODELS.where)
    settled = {"width", "depth", *arguments}
    unknown = [name for name in spec.options if name in settled or (not takes_any and name not in accepted)]
    if unknown:
        given = unknown[0] in settled
        raise InputError(
            "the study gives this itself" if given else "the factory takes no such option",
            where=f"model.options.{unknown[0]}",
            found=unknown[0],
            allowed=", ".join(sorted(set(accepted) - settled)) or "none",
            hint=SOURCES.get(unknown[0], "the task settles it") if given else "",
        )

    def taken(**sizes: int) -> dict[str, Any]:
        offered = {**arguments, **spec.options, **sizes}
        return {name: value for name, value in offered.items() if takes_any or name in accepted}

    try:
        inspect.signature(factory).bind(**taken(width=1, depth=1))
    except TypeError as error:
        raise InputError(f"the factory cannot be called: {error}", where="model.options", found=spec.options) from None

    def checked(**sizes: int) -> nn.Module:
        model = factory(**taken(**sizes))
        if not isinstance(model, nn.Module):
            problem = "the factory must return a torch.nn.Module"
            raise InputError(problem, where=MODELS.where, found=type(model).__name__)
        return model

    def build(*, width: int, depth: int = 2) -> nn.Module:
        return checked(width=width, depth=depth)

    def build_at_one_depth(*, width: int) -> nn.Module:
        return checked(width=width)

    return build if takes_any or "depth" in accepted else build_at_one_depth


def parameters_of(factory: Factory, where: str) -> tuple[Mapping[str, inspect.Parameter], bool]:
    """What a factory takes, and whether it takes any keyword; one that does not take `width` is refused."""
    signature = inspect.signature(factory)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())
    if not takes_any and "width" not in signature.parameters:
        raise InputError("the factory must take the keyword 'width'", where=where, found=str(signature))
    return signature.parameters, takes_any
