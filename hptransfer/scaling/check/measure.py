"""The coordinate check: does every module's activation, gradient and update keep its size over width and density?

`coordinate_check` trains a few steps on one repeated batch and records; it knows nothing of what is good.
`judge_check` fits a slope of log size against log width or log density to every kind of module and decides whether it
is level (Yang et al. 2022, appendix D.1; Dey et al. 2024, figure 5). `assert_coordinates` is both, for a test of a
user's own model, with as many seeds as the decision takes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.scaling.check.allowed import FIRST, LAST, UPDATE
from hptransfer.scaling.check.decide import check_until_decided
from hptransfer.scaling.check.judge import Axis, CheckVerdict, judge_check
from hptransfer.scaling.check.recorder import Recorder
from hptransfer.scaling.parametrize import EmptyRowWarning, InitWarning, Parametrized, parametrize
from hptransfer.scaling.rules import Rule, get_rule
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec, TrainingSpec
from hptransfer.tasks.base import loss_of
from hptransfer.tasks.language import Language

__all__ = ["CheckSettings", "CheckVerdict", "assert_coordinates", "coordinate_check", "judge_check"]

Loss = Callable[[nn.Module, Any], Tensor]

NEXT_TOKEN: Loss = loss_of(Language())
"""The default: the loss of the next token, on a batch of tokens (B, T + 1)."""


@dataclass(frozen=True)
class CheckSettings:
    """How the few steps are trained. `base_width` of None is the smallest width."""

    base_width: int | None = None
    depth: int | None = None
    base_depth: int | None = None
    base: BaseHPs | None = None
    steps: int = 10
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    max_seeds: int = 64
    """Where `assert_coordinates` is not decided by `seeds`, it doubles them, up to so many."""
    training: TrainingSpec = field(default_factory=TrainingSpec)
    """Names the optimizer and its numbers; the schedule, the clip and the budget are not part of a check."""
    sparsity: SparsitySpec | None = None
    roles: Mapping[str, str] | None = None
    init: Mapping[str, str] | None = None
    queries: tuple[str, ...] | None = None
    sample: Any = None
    """What the model is called with, where its forward pass is traced and the loss is not that of the next token."""


def coordinate_check(
    build: Callable[..., nn.Module],
    batch: Any,
    *,
    widths: Sequence[int],
    densities: Sequence[float] = (1.0,),
    rules: Sequence[str | Rule] = ("supar",),
    settings: CheckSettings | None = None,
    loss: Loss = NEXT_TOKEN,
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Sizes of activations, gradients and updates, one row each, for every rule, width, density and seed.

    Columns: rule, width, density, seed, step, module, kind, value, features, role, scores, around.

    - `step` counts updates made before the forward pass: 0 … steps.
    - `kind`: `activation`: mean |output|; `gradient`: mean |∂loss/∂output|; `input_gradient`: mean |∂loss/∂input|,
      of the tensor handed in, with what its other readers send back; `update`: mean |change of the output, for the
      same input, that one optimizer step makes|; `aligned_update`: mean of that change along −sign(∂loss/∂output),
      weighed by |∂loss/∂output|, for matrices that sum over their inputs; `weight_update`: mean |change| of the
      non-zeros of the module's matrix, for looking, not for judging. Modules without a matrix have the first two.
      The three updates are those of the first step, which alone says what a rule's LR is: it is proportional to it.
    - `features`: numbers in the tensor for one sequence, by which gradients are compared over widths, and by which a
      tensor that does not grow is known.
    - `scores`: numbers that go into a softmax for a sequence, 0 where there is none; they have rows of their own, named
      after the module. `around`: of a gradient at step 0 the size of what comes around the scores, 0 where all of it
      comes through them, as that of queries and keys does; NaN where nothing is known of it.
    - `role` of the module's matrix, empty without one; `scores`. The model itself has the module name `(model)`.

    Plain eager torch on the CPU. The batch is the same in every step and run; non-finite values are kept.
    """
    chosen = settings or CheckSettings()
    sample = Language().inputs(batch) if loss is NEXT_TOKEN and chosen.sample is None else chosen.sample
    rows: list[dict[str, Any]] = []
    for rule, width, density, seed in product(rules, widths, densities, chosen.seeds):
        where = {"rule": get_rule(rule).name, "width": width, "density": density, "seed": seed}
        if progress:
            progress(f"{where['rule']}: width {width}, density {density:g}, seed {seed}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmptyRowWarning)  # sizes are means: a dead output is part of them
            warnings.simplefilter("ignore", InitWarning)  # told by whoever asks for the check, once
            parametrized = parametrize(
                build,
                width=width,
                base_width=chosen.base_width or min(widths),
                rule=rule,
                density=density,
                base=chosen.base,
                seed=seed,
                optimizer=OPTIMIZERS.get(chosen.training.optimizer).table,
                decay=chosen.training.decay,
                sparsity=chosen.sparsity,
                eps=chosen.training.eps,
                depth=chosen.depth,
                base_depth=chosen.base_depth or chosen.depth,
                roles=chosen.roles,
                init=chosen.init,
                queries=chosen.queries,
                sample=sample,
                allow_narrower=True,
            )
        rows.extend({**where, **row} for row in _run(parametrized, batch, loss, chosen))
    return pd.DataFrame(rows)


def assert_coordinates(
    build: Callable[..., nn.Module],
    batch: Any,
    *,
    axis: Axis,
    widths: Sequence[int],
    densities: Sequence[float] = (1.0,),
    rule: str | Rule = "supar",
    settings: CheckSettings | None = None,
    loss: Loss = NEXT_TOKEN,
    first_tolerance: float = FIRST,
    update_tolerance: float = UPDATE,
    last_tolerance: float = LAST,
) -> CheckVerdict:
    """For a test of your own model: run the check, and fail with its sentence and the worst slopes unless it passes.

    Seeds are added up to `settings.max_seeds` until every slope is shown to be within its tolerance or one is shown
    to be beyond.
    """
    chosen, known = settings or CheckSettings(), get_rule(rule)

    def measure(rules: Sequence[str], seeds: Sequence[int], steps: int) -> pd.DataFrame:
        these = replace(chosen, seeds=tuple(seeds), steps=steps)
        return coordinate_check(
            build, batch, widths=widths, densities=densities, rules=(known,), settings=these, loss=loss
        )

    def judge(frame: pd.DataFrame, looks: int) -> tuple[CheckVerdict]:
        verdict = judge_check(
            frame,
            axis=axis,
            first_tolerance=first_tolerance,
            update_tolerance=update_tolerance,
            last_tolerance=last_tolerance,
            looks=looks,
        )
        return (verdict,)

    _, (verdict,) = check_until_decided(
        measure, judge, rules=(known.name,), seeds=chosen.seeds, most=chosen.max_seeds, steps=chosen.steps
    )
    if not verdict.passed:
        worst = verdict.failures().head(8).to_string(index=False)
        raise AssertionError(f"{verdict.sentence}\n{worst}")
    return verdict


def _run(parametrized: Parametrized, batch: Any, loss: Loss, settings: CheckSettings) -> list[dict[str, Any]]:
    """All rows of one model: `steps` updates and one more forward and backward pass."""
    _without_noise(parametrized.model)
    entry = OPTIMIZERS.get(settings.training.optimizer)
    optimizer: torch.optim.Optimizer = entry.torch_optimizer(parametrized.param_groups, settings.training)
    recorder = Recorder(parametrized.model, parametrized.table)
    rows: list[dict[str, Any]] = []
    with recorder.attached():
        for step in range(settings.steps + 1):
            optimizer.zero_grad(set_to_none=True)
            recorder.begin()
            value = loss(parametrized.model, batch)
            if step == 0:  # of gradients those of the first step are judged
                recorder.look_at(value)
            value.backward()  # type: ignore[no-untyped-call]
            recorder.end()
            if step == 0:
                recorder.keep_weights()
                optimizer.step()
                recorder.measure_update()
            elif step < settings.steps:
                optimizer.step()
            rows.extend({"step": step, **row} for row in recorder.rows())
    return rows


def _without_noise(model: nn.Module) -> None:
    """Switch dropout off: it would pass for an update, of the same size whatever the rule."""
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
