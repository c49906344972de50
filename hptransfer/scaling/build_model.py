"""Calling a user's factory: with what it takes, under a seed of its own, and without memory where only shapes count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from hptransfer.common.errors import InputError
from hptransfer.tasks.models.factory import parameters_of

__all__ = ["MARK", "Build", "build_model", "build_wider", "shapes_only", "takes_depth"]

Build = Callable[..., nn.Module]

MARK = "hpt_"
"""Every buffer this package registers on a module begins so; a model that has one is parametrized already."""


@contextmanager
def shapes_only() -> Iterator[None]:
    """Modules built in here have shapes but neither memory nor values (torch's meta device)."""
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Leaves out the drawing of normal numbers, for which the meta device would load torch's compiler: a second of
    every command."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build_model(build: Build, width: int, depth: int | None, *, device: str = "cpu", seed: int = 0) -> nn.Module:
    """Call the factory, with `depth` only if given and taken, under its own seed of torch's random state.

    A factory that computes with tensors while it builds cannot do so on the meta device; it is then built on the CPU.
    """
    arguments = {"width": width}
    if takes_depth(build) and depth is not None:
        arguments["depth"] = depth
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            with shapes_only() if device == "meta" else torch.device(device):
                model = build(**arguments)
        except (NotImplementedError, RuntimeError):
            if device != "meta":
                raise
            model = build(**arguments)
    if any(name.rpartition(".")[2].startswith(MARK) for name, _ in model.named_buffers()):
        raise InputError(
            "the model is parametrized already; a second time would scale it twice",
            where="build",
            hint="hand over the plain factory",
        )
    return model


def takes_depth(build: Build) -> bool:
    """Whether the factory builds as deep as it is told."""
    taken, takes_any = parameters_of(build, "build")
    return takes_any or "depth" in taken


def build_wider(build: Build, width: int, depth: int | None) -> nn.Module:
    """A second width to see what grows, when base and target are the same: twice, else half."""
    try:
        return build_model(build, 2 * width, depth, device="meta")
    except InputError:
        raise
    except Exception as error:  # a user's factory may refuse a width with anything
        if width % 2 == 0:
            try:
                return build_model(build, width // 2, depth, device="meta")
            except Exception:  # then the first error is the one that tells
                pass
        raise InputError(
            f"the factory cannot be built at a second width ({type(error).__name__}: {error})",
            where="build",
            found=f"width {2 * width}",
            hint="roles are told from what changes between two widths",
        ) from error
