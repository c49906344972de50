"""`hptransfer init`: a commented study file to start from."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

from hptransfer.common.errors import InputError
from hptransfer.common.seams import MODELS

__all__ = ["starter_text", "write_starter"]

_TEMPLATE = """\
# A study asks one question. Every key is described in docs/study-file.md.
#   hptransfer explain {file}   what the rule does to every tensor of the model
#   hptransfer plan {file}      what would run, and how long
#   hptransfer run {file}       run it; run it again to continue
name: {name}
question: Do base HPs tuned on a small dense model hold at every width and density?

model:
  # `gpt`, `mlp`, or your own factory. It is called with width=… and, where its signature names them,
  # depth, vocab_size and context, and returns a module that maps tokens [B, T] to logits [B, T, vocab_size].
  factory: {factory}
{options}
data:
{data}
training:
  steps: 200
  batch_size: 16
  sequence_length: 64
  optimizer: adamw
  schedule: linear        # linear to zero: the best peak LR moves least with the budget
  warmup: 0.1
  decay: independent      # hold lr × weight_decay at every width and density
  precision: auto         # settled once per results folder: bf16 only where it is faster

# The small dense proxy. Every rule is the identity at this size.
base:
  width: 64
  depth: 2
  lr: 2^-7                # used as they stand when there is no `tune`
  init_std: 0.05
  weight_decay: 0.1

# Search the base HPs on the proxy. Leave this out to use `base`.
tune:
  trials: 48
  finalists: 4            # run again with fresh seeds: one run may be lucky
  finalist_seeds: 4
  space:
    lr: {{low: 2^-10, high: 2^-4}}
    init_std: {{low: 0.01, high: 0.2}}
    alpha_input: {{low: 1, high: 16}}     # on the embedding's output; no rule corrects it
    alpha_output: {{low: 1, high: 16}}    # on the readout's input

# The fan-out: rules × widths × densities × LRs × seeds.
grid:
  rules: [sp, mup, supar]
  widths: [64, 128]
  densities: [1, 1/4, 1/16]
  min_nonzeros: 8         # leave out cells with fewer weights per neuron: no rule holds there
  lr_multiples: {{octaves: [-3, 3], step: 1}}   # around the tuned LR; or `lr:` for absolute ones
  seeds: 3

# Before the sweep: do activations, gradients and updates keep their size over width and density?
check:
  seeds: 8                # doubled while a slope is neither shown to be level nor shown not to be

verdict:
  expect_stable: [supar]  # `hptransfer verdict` exits 0 when these are STABLE
"""

_GPT_OPTIONS = """\
  options:
    head_size: 32         # every width must be a multiple of it
"""
_OWN_OPTIONS = """\
  # options: {}           # further keyword arguments for the factory
  # roles:                # only where a tensor's role cannot be told from the module; first match wins
  #   "*.lm_head.weight": readout
"""


def starter_text(file: Path, *, factory: str = "gpt", text: Path | None = None) -> str:
    """The starter study as YAML text, named after `file`. A relative `text` is written relative to the study's folder,
    as study files mean it."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", file.stem).strip("._-")[:100] or "study"
    data = "  source: stdlib          # or text / tokens with path: …\n"
    if text is not None:
        path = text if text.is_absolute() else Path(os.path.relpath(text.resolve(), file.resolve().parent))
        data = f"  source: text\n  path: {json.dumps(str(path), ensure_ascii=False)}\n"
    options = _GPT_OPTIONS if factory == "gpt" else _OWN_OPTIONS
    shown = shlex.quote(str(file))
    return _TEMPLATE.format(file=shown, name=name, factory=factory, options=options, data=data)


def write_starter(file: Path, *, factory: str = "gpt", text: Path | None = None, force: bool = False) -> str:
    """Write the starter study to `file`; the answer says what to do next. Refuses to overwrite without `force`."""
    if not MODELS.knows(factory):
        raise MODELS.refusal(factory, "--factory")
    if file.is_dir():
        raise InputError("is a folder", where=str(file), hint="name the study file to write, such as my-study.yaml")
    if file.exists() and not force:
        raise InputError("the file is already there", where=str(file), hint="choose another name or add --force")
    if text is not None and not text.is_file():
        raise InputError("no such text file", where=str(text), hint="give --text an existing file")
    try:
        file.write_text(starter_text(file, factory=factory, text=text), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the file: {error.strerror}", where=str(file)) from None
    return f"Wrote {file}. Next: hptransfer plan {shlex.quote(str(file))}"
