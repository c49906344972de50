"""A function of tensors into a compiled program, without a detour through Python tracing.

The step is traced once to a flat graph of operators and handed to inductor. That skips dynamo: no guards to check at
every call, no recompiles, no state to reset between shapes, and any Python in a user's model is gone after the trace.
Compiled kernels are kept on disk by inductor and shared between processes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from hptransfer.common.errors import HptransferError, WorkError
from hptransfer.training.gelu import DECOMPOSITIONS
from hptransfer.training.settings import WorkerSettings

__all__ = ["compile_program", "trace", "worth_compiling"]

_log = logging.getLogger(__name__)
_said: set[str] = set()

SMALL_FLOPS = 1e10
"""A trial below this many training FLOPs ends sooner eagerly than a compiler starts."""


def worth_compiling(settings: WorkerSettings, flops: float) -> bool:
    """Whether to try. Decided by the trial alone, so that the same trial always takes the same road."""
    return settings.compile == "always" or (settings.compile == "auto" and flops >= SMALL_FLOPS)


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> torch.fx.GraphModule:
    """The function as a graph of operators on the flattened tensors of `arguments`; nothing is computed."""
    flat, spec = pytree.tree_flatten(list(arguments))

    def on_flat(*tensors: Tensor) -> Any:
        return function(*pytree.tree_unflatten(list(tensors), spec))

    with torch.no_grad():
        graph: torch.fx.GraphModule = make_fx(on_flat, DECOMPOSITIONS, tracing_mode="fake")(*flat)
    return graph


def compile_program(
    function: Callable[..., None], arguments: Sequence[Any], settings: WorkerSettings
) -> tuple[Callable[[], None], str]:
    """The function, which writes into its arguments, bound to these very tensors, compiled, and a note.

    Where no compiler works the function runs eagerly and the note says why; with `compile: always` it is an error.
    """
    flat, _ = pytree.tree_flatten(list(arguments))

    def without_result(*tensors: Any) -> tuple[()]:
        function(*tensors)
        return ()

    try:
        graph = trace(without_result, arguments)
        with torch.no_grad():
            program = _inductor(graph, flat)
    except (HptransferError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the boundary to a compiler and to users' models: anything may come out of either
        if settings.compile == "always":
            raise WorkError(f"cannot compile the training step: {_first_line(error)}") from error
        note = f"not compiled ({_first_line(error)})"
        if note not in _said:
            _said.add(note)
            _log.warning("training runs eagerly: %s", note)
        return lambda: function(*arguments), note
    return lambda: program(*flat), ""


def _inductor(graph: torch.fx.GraphModule, flat: list[Tensor]) -> Callable[..., Any]:
    """The graph compiled for tensors of these shapes. torch's newer entry also keeps whole graphs on disk."""
    _remember_probes()
    entry: Any = getattr(torch._inductor, "standalone_compile", torch._inductor.compile)
    program: Callable[..., Any] = entry(graph, flat)
    return program


@functools.cache
def _remember_probes() -> None:
    """Keep inductor's answer to which vector instructions load, beside the probe itself.

    It asks a fresh Python process for each of them whenever a process first compiles or loads a program: some 3 s of
    a worker's start. Versions of torch that probe in another way are left alone.
    """
    from torch._inductor.cpu_vec_isa import VecISA

    probe = getattr(VecISA, "_probe_load", None)
    if probe is None:
        return

    def remembered(self: VecISA, output_path: str) -> bool:
        answer = Path(f"{output_path}.loads")
        if answer.exists():
            return True
        loads = bool(probe(self, output_path))
        if loads:
            answer.touch()
        return loads

    VecISA._probe_load = remembered  # type: ignore[method-assign]


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"
