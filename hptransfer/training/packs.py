"""Training a pack: trials of one shape in, an outcome each out.

On a CPU the trials go one after another through one compiled step; on a GPU, or where `settings.stack` says so, K of
them go through it at once. A caller sees no difference but speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hptransfer.common.errors import OutOfMemoryError
from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.calibrate import stack_size
from hptransfer.training.flops import TrialCost, cost_of
from hptransfer.training.memory import cut_smaller
from hptransfer.training.pack_run import PackRun
from hptransfer.training.process import hand_back_memory, prepare_process
from hptransfer.training.program import CannotStackError
from hptransfer.training.program_cache import memory_errors, program_for
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.trainer import Prune, Resources

__all__ = ["Packs", "train_pack"]


class Packs:
    """The trainer `packs`: the engine of this package, fast on trials of one shape."""

    together = True

    def train(self, trials: Sequence[Trial], settings: WorkerSettings, prune: Prune | None = None) -> Iterator[Outcome]:
        """See `train_pack`."""
        return train_pack(trials, settings, prune)

    def resources(self, trial: Trial) -> Resources:
        """What the executor gives a worker."""
        return Resources()

    def cost(self, trial: Trial) -> TrialCost:
        """Counted from the trial's shapes."""
        return cost_of(trial)


def train_pack(trials: Sequence[Trial], settings: WorkerSettings, prune: Prune | None = None) -> Iterator[Outcome]:
    """Train every trial and yield its outcome as soon as it is there, in the order given.

    Outcomes do not depend on what else is in the pack: a trial's numbers are its own. A trial that runs out of memory
    by itself is tried again in smaller micro-batches. Raises `OutOfMemoryError` when that is at its end or several do
    not fit, so that the pack can be halved, and `InputError` for data or models that cannot be trained.
    """
    device = prepare_process(settings)
    rest = list(trials)
    note, alone = "", False
    while rest:
        with memory_errors():
            stack = 1 if alone else stack_size(rest, settings, device)
        short = False
        try:
            with memory_errors():
                # No name here for the program or the run: its tensors would outlive an error that they caused.
                yield from PackRun(
                    rest[:stack], program_for(rest[0], settings, device, stack), settings, prune, note
                ).outcomes()
            rest = rest[stack:]
        except CannotStackError as error:
            alone, note = True, f"trained one at a time: {error}"
        except OutOfMemoryError:
            short = stack == 1 and cut_smaller(rest[0], settings, device)
            if not short:
                raise
        if short:  # only here: the frames of an error hold what did not fit
            hand_back_memory()
