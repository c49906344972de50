"""Which layers of a trial are held and computed as their non-zeros."""

from __future__ import annotations

import functools
import logging

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hptransfer.common.seams import METHODS, TASKS
from hptransfer.scaling.build_model import Build, build_model
from hptransfer.sparsity.linear import SparseLinear, sparsifiable, swap_linear
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import batch_of, tokens_per_step
from hptransfer.training.build import factory_of, table_of
from hptransfer.training.layout import Layout
from hptransfer.training.optimizers.parts import part_for, parts_of
from hptransfer.training.settings import WorkerSettings

__all__ = ["Inputs", "products_of", "steps_between_masks", "swappable", "values_layers"]

Inputs = tuple[tuple[tuple[int, ...], torch.dtype], ...]
"""Size and type of what a model is called with."""

_log = logging.getLogger(__name__)


def values_layers(
    trial: Trial, settings: WorkerSettings, device: torch.device, stack: int = 1, micro_batches: int = 1
) -> frozenset[str]:
    """Names of the sparse layers to hold as values: those a plain linear layer multiplies, where it pays.

    Not those whose optimizer needs the matrix, and none where masks move: the dense gradient is asked for then.
    """
    parts = parts_of(trial.training.optimizer)
    sparse = [row for row in table_of(trial) if row.density < 1 and not parts[part_for(parts, row.role)].whole]
    if not sparse or settings.products == "dense" or steps_between_masks(trial):
        return frozenset()
    # Here, not above: it makes dynamo load, which takes a second that only sparse layers are worth; and not later,
    # when a model runs on fake tensors.
    from hptransfer.sparsity.breakeven import LayerShape, choose_products

    inputs = tuple((tuple(x.shape), x.dtype) for x in TASKS.get(trial.task).inputs(batch_of(trial, 0)))
    able = swappable(factory_of(trial), trial.width, trial.depth, tuple(row.name for row in sparse), inputs)
    layers = {
        row.name: LayerShape(
            out_features=row.shape[0],
            in_features=row.shape[1],
            nonzeros=row.nonzeros,
            tokens=tokens_per_step(trial) // micro_batches,
            precision="bf16" if trial.training.precision == "bf16" else "fp32",
            stack=stack,
        )
        for row in sparse
        if row.name in able
    }
    return choose_products(layers, settings.products, device, settings.cache_dir)


def steps_between_masks(trial: Trial) -> int:
    """Steps between two changes of the trial's masks; 0: they stand still."""
    if trial.density == 1:
        return 0
    name = trial.sparsity.method
    steps = METHODS.get(name).every(trial.sparsity, trial.training)
    METHODS.hold(name, isinstance(steps, int) and steps >= 0, "`every` is a whole number of steps, or 0", steps)
    return int(steps)


def products_of(trial: Trial, layout: Layout) -> str:
    """How the sparse layers are computed, in a word: `dense`, or `sparse:k/n` for k of n."""
    chosen, masked = layout.as_values, sum(row.density < 1 for row in table_of(trial))
    return f"sparse:{len(chosen)}/{masked}" if chosen else "dense"


@functools.lru_cache(maxsize=64)
def swappable(build: Build, width: int, depth: int, names: tuple[str, ...], inputs: Inputs) -> frozenset[str]:
    """Those of the named weights whose layer can be swapped for a sparse one, tried without computing anything.

    A model may read `layer.weight` itself instead of calling the layer. So the model is run on fake tensors with the
    layers swapped: if that fails none is swapped, and a layer that is never called stays dense.
    """
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            model = build_model(build, width, depth)
            able = [name for name in names if sparsifiable(model, name)]
            swap_linear(model, dict.fromkeys(able, 2))
            called = _called_layers(model, inputs)
    except Exception as error:  # the boundary to a user's model: anything may come out of it
        _log.info("layers stay dense: %s: %s", type(error).__name__, error)
        return frozenset()
    return frozenset(name for name in able if name.removesuffix(".weight") in called)


def _called_layers(model: torch.nn.Module, inputs: Inputs) -> set[str]:
    """Paths of the sparse layers that a forward pass goes through."""
    called: set[str] = set()
    for path, module in model.named_modules():
        if isinstance(module, SparseLinear):
            module.register_forward_hook(lambda *call, path=path: called.add(path))
    with torch.no_grad():
        model(*(torch.zeros(shape, dtype=dtype) for shape, dtype in inputs))
    return called
