"""One run of a pack: the slots of a program filled, trained to the end, and read out as outcomes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from hptransfer.common.files import digest_of
from hptransfer.study.trial import CurvePoint, Outcome, Status, Trial
from hptransfer.tasks.base import Batch
from hptransfer.training.ask_task import batch_at, batch_of, batch_shape, chance_of, data_of, held_out_of
from hptransfer.training.build import initial_state
from hptransfer.training.checkpoint import Checkpoints
from hptransfer.training.divergence import ceiling_of
from hptransfer.training.flops import cost_of
from hptransfer.training.moving_masks import move_masks
from hptransfer.training.program import Program
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.sparse import products_of, steps_between_masks
from hptransfer.training.step_numbers import numbers_of_all_steps
from hptransfer.training.trainer import Prune, took

__all__ = ["PackRun", "curve_steps"]

RUNGS = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the budget at which pruning is asked for."""

TAIL = 16
"""Last steps that a curve holds one by one."""

SYNC_EVERY = 32
"""Steps between two looks at the losses on a GPU; a CPU is looked at every step, which costs nothing there."""


def curve_steps(steps: int) -> list[int]:
    """Steps a curve is kept at: four per octave, then the tail."""
    spaced = {round(2 ** (i / 4)) for i in range(4 * max(1, steps).bit_length() + 1)}
    tail = range(max(0, steps - TAIL), steps)
    return sorted(s for s in {0, *spaced, *tail} if s < steps)


class PackRun:
    """One filling of a program's slots, from the first step (or a checkpoint) to the outcomes."""

    def __init__(
        self, trials: Sequence[Trial], program: Program, settings: WorkerSettings, prune: Prune | None, note: str
    ) -> None:
        self.trials, self.program, self.settings, self.prune = list(trials), program, settings, prune
        self.note = "; ".join(filter(None, (note, program.note)))
        self.slots = self.trials + self.trials[-1:] * (program.stack - len(trials))
        """Those beyond the trials are dead copies of the last."""
        self.training = trials[0].training
        self.data = data_of(trials[0])
        self.chance = chance_of(trials[0].task, self.data)
        self.batch_shape = batch_shape(batch_of(trials[0], 0))
        self.mask_every = steps_between_masks(trials[0])
        self.checkpoints = Checkpoints(settings.checkpoint_dir)
        self.losses = torch.full((self.training.steps, program.stack), math.nan, device=program.device)
        self.ceilings = [math.inf] * len(self.trials)
        self.pruned: dict[int, int] = {}
        self.validation: list[dict[int, float]] = [{} for _ in self.trials]
        self.step = 0
        self.causes: dict[int, str] = {}

    def outcomes(self) -> Iterator[Outcome]:
        """Train all slots to their end; the outcomes in order."""
        start = time.perf_counter()
        self._fill()
        self._resume()
        self._train()
        losses = self.losses.cpu()
        final = self._held_out()
        seconds = (time.perf_counter() - start) / len(self.trials)
        for slot, trial in enumerate(self.trials):
            self.checkpoints.remove(trial.id)
            yield self._outcome(slot, trial, losses[:, slot].double(), final[slot], seconds)

    def _fill(self) -> None:
        """Load every slot."""
        torch.manual_seed(self.trials[0].seed)  # for a model with dropout, whose trials are never stacked
        for slot, trial in enumerate(self.slots):
            if slot < len(self.trials):
                tensors = initial_state(trial, self.program.layout)
            self.program.load(slot, tensors)
        self.program.alive[len(self.trials) :] = False

    def _train(self) -> None:
        steps = self.training.steps
        numbers = self._numbers()
        rungs = {max(1, round(share * steps)) for share in RUNGS} - {steps} if self.prune else set()
        saved = time.monotonic()
        on_cpu = self.program.device.type == "cpu"
        while self.step < steps:
            batch = self._batch(self.step)
            if self.mask_every and self.step and self.step % self.mask_every == 0:
                self._move_masks(batch)
            self.losses[self.step] = self.program.step(batch, numbers[self.step])
            if self.step == 0:
                self._set_ceilings()
            self.step += 1
            if self.step in rungs:
                self._ask_pruner()
            if on_cpu or self.step % SYNC_EVERY == 0:
                if not self._living():
                    return
                if time.monotonic() - saved >= self.settings.checkpoint_every_s:
                    self._save()
                    saved = time.monotonic()

    def _numbers(self) -> Tensor:
        """The shared numbers of every step, (steps, K, numbers)."""
        tables = {t: torch.tensor(numbers_of_all_steps(t)) for t in {trial.training for trial in self.trials}}
        return torch.stack([tables[trial.training] for trial in self.slots], 1).to(self.program.device)

    def _batch(self, step: int) -> Batch:
        """The trials' batches side by side, (K, B, …); trials with one data seed share theirs."""
        seeds = {trial.data_seed for trial in self.trials}
        drawn = {seed: batch_at(self.trials[0], self.data, seed, step, self.batch_shape) for seed in seeds}
        return pytree.tree_map(lambda *parts: torch.stack(parts), *(drawn[trial.data_seed] for trial in self.slots))

    def _move_masks(self, batch: Batch) -> None:
        for slot, trial in self._living():
            own = pytree.tree_map(lambda x, slot=slot: x[slot], batch)
            move_masks(self.program, slot, trial, self.step, own)

    def _living(self) -> list[tuple[int, Trial]]:
        """The trials that still train, by slot."""
        alive = self.program.alive.tolist()
        return [(slot, trial) for slot, trial in enumerate(self.trials) if alive[slot]]

    def _set_ceilings(self) -> None:
        first = self.losses[0].tolist()
        for slot in range(len(self.trials)):
            if not math.isfinite(first[slot]):
                self.causes[slot] = self._cause(slot)
            self.ceilings[slot] = ceiling_of(first[slot], self.chance)
            self.program.ceiling[slot] = self.ceilings[slot]

    def _cause(self, slot: int) -> str:
        """Why a loss is not finite before any update, as far as the weights tell."""
        trial = self.trials[slot]
        start = initial_state(trial, self.program.layout)
        said = "the loss is not finite at step 0, before any update: "
        for name, tensor in self.program.layout.views(start.sheets).items():
            if not bool(tensor.isfinite().all()):
                return f"{said}the initial values of {name} are not finite (init_std {trial.base.init_std:g})"
        largest = max(float(s.abs().max()) for s in start.sheets)
        if largest > 1e3 or max(trial.base.alpha_input, trial.base.alpha_output) > 1e3:
            return (
                f"{said}the activations overflow; likely init_std {trial.base.init_std:g}, alpha_input"
                f" {trial.base.alpha_input:g} or alpha_output {trial.base.alpha_output:g} is too large"
            )
        return f"{said}the weights are finite, so the model itself yields a NaN or an infinity in its forward pass"

    def _ask_pruner(self) -> None:
        assert self.prune is not None
        losses = self._held_out()
        for slot, trial in self._living():
            self.validation[slot][self.step] = losses[slot]
            if self.prune(trial, self.step, losses[slot]):
                self.pruned[slot] = self.step
                self.program.alive[slot] = False

    def _held_out(self) -> list[float]:
        """Held-out loss of every slot as it stands; not computed where no trial is left."""
        if not self._living():
            return [math.nan] * len(self.slots)
        losses: list[float] = self.program.evaluate(held_out_of(self.trials[0], self.data)).tolist()
        return losses

    # --- checkpoints

    def _save(self) -> None:
        for slot, trial in enumerate(self.trials):
            rungs = self.validation[slot]
            tensors = {
                **self.program.state(slot, with_masks=bool(self.mask_every)),
                "step": torch.tensor(self.step),
                "losses": self.losses[: self.step, slot],
                "rng": torch.get_rng_state(),
                "rungs": torch.tensor([[s, v] for s, v in rungs.items()], dtype=torch.float64).reshape(-1, 2),
                "pruned": torch.tensor(self.pruned.get(slot, -1)),
            }
            self.checkpoints.write(trial.id, tensors, self._layout_digest())

    def _resume(self) -> None:
        """Continue from checkpoints if every trial has one and all stand at one step."""
        read = [self.checkpoints.read(trial.id, self._layout_digest()) for trial in self.trials]
        found = [saved for saved in read if saved is not None]
        if len(found) < len(read) or len({int(saved["step"]) for saved in found}) != 1:
            return
        for slot, saved in enumerate(found):
            for name, room in self.program.state(slot, with_masks=bool(self.mask_every)).items():
                room.copy_(saved[name])
            self.step = int(saved["step"])
            self.losses[: self.step, slot] = saved["losses"].to(self.losses.device)
            self.ceilings[slot] = ceiling_of(float(saved["losses"][0]), self.chance)
            self.validation[slot] = {int(s): v for s, v in saved["rungs"].tolist()}
            if int(saved["pruned"]) >= 0:
                self.pruned[slot] = int(saved["pruned"])
            torch.set_rng_state(saved["rng"])

    def _layout_digest(self) -> str:
        return digest_of(repr(self.program.layout), 16)

    # --- outcomes

    def _outcome(self, slot: int, trial: Trial, losses: Tensor, final: float, seconds: float) -> Outcome:
        status, diverged_step = self._status(slot, losses, final)
        ended = status == "ok"
        done = trial.training.steps if ended else diverged_step if diverged_step is not None else self.pruned[slot]
        tail = losses[-max(1, min(TAIL, len(losses) // 10)) :]
        train_loss = float(tail.mean()) if ended else math.nan
        points = [
            CurvePoint(s, float(losses[s]), self.validation[slot].get(s, math.nan))
            for s in sorted({*curve_steps(trial.training.steps), *self.validation[slot]})
            if s <= done and s < trial.training.steps
        ]
        if ended:
            points.append(CurvePoint(trial.training.steps, train_loss, final))
        return Outcome(
            trial_id=trial.id,
            status=status,
            loss=final if ended else math.nan,
            train_loss=train_loss,
            diverged_step=diverged_step,
            **took(cost_of(trial), seconds, self.program.device),
            products=products_of(trial, self.program.layout),
            note="; ".join(filter(None, (self.note, self.causes.get(slot)))),
            curve=tuple(points),
        )

    def _status(self, slot: int, losses: Tensor, final: float) -> tuple[Status, int | None]:
        """Status, and the first step whose loss was not finite or above the ceiling (see `divergence`)."""
        steps = self.training.steps
        last = self.pruned.get(slot, steps)
        beyond = (~(losses[:last] < self.ceilings[slot])).nonzero().flatten()
        if len(beyond):
            return "diverged", int(beyond[0])
        if slot in self.pruned:
            return "pruned", None
        if not final < self.ceilings[slot]:
            return "diverged", steps
        return "ok", None
