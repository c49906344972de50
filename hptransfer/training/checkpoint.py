"""Checkpoints of trials in training: one safetensors file a trial, replaced atomically, removed at the end.

A checkpoint holds all that the rest of the run depends on, so a run that is continued equals one that was never
interrupted, bit for bit on a CPU. A file that cannot be read, or was written for another layout, is left aside:
the trial then starts over. Checkpoints are a convenience: where they cannot be written (a worker on another machine, a
full disk) training goes on without them, and says so once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hptransfer.common.files import whole_file

__all__ = ["Checkpoints"]


class Checkpoints:
    """The folder of checkpoints; with no folder, nothing is written and nothing is found."""

    def __init__(self, folder: str | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def write(self, trial_id: str, tensors: Mapping[str, Tensor], layout: str) -> None:
        """Replace the trial's checkpoint. `layout` says what the tensors belong to."""
        if self.folder is None:
            return
        try:
            with whole_file(self._path(trial_id)) as temporary:
                held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
                save_file(held, temporary, {"layout": layout})
        except (OSError, SafetensorError) as error:
            print(f"no checkpoints from here on: {error}", file=sys.stderr)
            self.folder = None

    def read(self, trial_id: str, layout: str) -> dict[str, Tensor] | None:
        """The trial's tensors, or None where there is no usable checkpoint of this layout."""
        if self.folder is None or not self._path(trial_id).exists():
            return None
        try:
            with safe_open(self._path(trial_id), framework="pt") as file:
                if (file.metadata() or {}).get("layout") != layout:
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError):
            return None

    def remove(self, trial_id: str) -> None:
        """Forget the trial's checkpoint, if there is one."""
        if self.folder is not None:
            self._path(trial_id).unlink(missing_ok=True)

    def _path(self, trial_id: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{trial_id}.safetensors"
