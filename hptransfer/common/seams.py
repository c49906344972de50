"""All that may vary, in one table: the seams, their built-in entries by name, and how any entry is found.

Wherever a study file or the command line names an entry, `package.module:name` is allowed too. To add a built-in one:
write its file, add its line here, document it, run its conformance suite (`hptransfer.testing`) on it.

The lines are text, so that this table loads nothing: an entry is imported when it is first asked for.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from hptransfer.common.errors import BreachError, InputError, did_you_mean, nearest
from hptransfer.common.files import digest_of
from hptransfer.common.own_sources import own_sources

__all__ = [
    "AXES",
    "EXECUTORS",
    "METHODS",
    "MODELS",
    "OBSERVERS",
    "OPTIMIZERS",
    "SCALED",
    "TASKS",
    "TRAINERS",
    "Seam",
    "identities_in",
    "identity_of",
    "import_entry",
    "is_outside",
    "source_digest",
    "source_file",
    "version_of",
    "versions_in",
]

OUTSIDE_FORM = "package.module:name"
_OUTSIDE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_outside(name: str) -> bool:
    """Whether a name has the form of an entry outside this package. Nothing is imported."""
    return _OUTSIDE.fullmatch(name) is not None


@dataclass(frozen=True)
class Seam:
    """One thing that may vary."""

    kind: str
    """What an entry is, in a word or two: `optimizer`."""
    where: str
    """Where an entry is named: a key of the study file or an option."""
    built_in: Mapping[str, str]
    """Name → `package.module:attribute`."""
    promises: tuple[str, ...] = ()
    """Attributes that every entry has. What they mean its protocol says; its conformance suite holds it to that."""
    adapt: str = ""
    """`package.module:function` that makes an entry of a plain object, such as a function; empty: nothing to adapt."""
    found: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def knows(self, name: str) -> bool:
        """Whether the name is a built-in entry or has the form of an outside one."""
        return name in self.built_in or is_outside(name)

    @property
    def choices(self) -> str:
        """What may stand there, in words."""
        return f"{', '.join(self.built_in)} or {OUTSIDE_FORM}"

    def refusal(self, name: object, where: str = "") -> InputError:
        """The refusal of a name that is neither, with the nearest that is."""
        hint = did_you_mean(nearest(name, self.built_in))
        return InputError(
            f"no such {self.kind}", where=where or self.where, found=name, allowed=self.choices, hint=hint
        )

    def breach(self, name: str, thing: object, rule: str, found: str = "") -> BreachError:
        """The one message for an entry that breaks its contract: which rule, which entry, from which file."""
        return BreachError(
            f"{name}, from {source_file(thing)}, breaks the contract of its seam: {rule}{found}",
            where=self.where,
            hint="docs/extending.md describes them; hptransfer.testing checks them",
        )

    def hold(self, name: str, kept: bool, rule: str, found: object) -> None:
        """Refuse what an entry gave unless the rule was kept."""
        if not kept:
            raise self.breach(name, self.find(name), rule, f"; found {found!r:.80}")

    def find(self, name: str) -> Any:
        """What the name stands for, as it was written: a class is not called."""
        if not self.knows(name):
            raise self.refusal(name)
        return import_entry(self.built_in.get(name, name), where=self.where)

    def get(self, name: str) -> Any:
        """The entry of that name, made once a process."""
        if name not in self.found:
            self.found[name] = self.make(name)
        return self.found[name]

    def make(self, name: str, written: Any = None) -> Any:
        """An entry of that name, or made of what was `written`; one clear InputError where it breaks a rule.

        An entry that is a class is called without arguments, and so is a new one each time.
        """
        written = thing = self.find(name) if written is None else written
        if self.adapt:
            thing = import_entry(self.adapt, where=self.where)(written, name)
        if isinstance(thing, type):
            try:
                thing = thing()
            except TypeError as error:
                rule = f"a class is called without arguments ({error})"
                raise self.breach(name, written, rule) from None
        missing = [promise for promise in self.promises if not hasattr(thing, promise)]
        if missing:
            rule = f"every {self.kind} has {', '.join(self.promises)}"
            raise self.breach(name, written, rule, f", lacks {', '.join(missing)}")
        return thing


def import_entry(path: str, *, where: str) -> Any:
    """What `package.module:name` names; the one place where such a name is resolved."""
    module_name, _, attribute = path.partition(":")
    try:
        thing: Any = import_module(module_name)
    except (ImportError, SystemExit) as error:
        said = f"it calls sys.exit({error})" if isinstance(error, SystemExit) else str(error)
        raise InputError(
            f"cannot import the module '{module_name[:80]}' ({said[:200]})",
            where=where,
            found=path,
            allowed=OUTSIDE_FORM,
            hint="is its folder on the Python path?" if isinstance(error, ImportError) else "",
        ) from error
    for part in attribute.split("."):
        if not hasattr(thing, part):
            raise InputError(f"the module '{module_name[:80]}' has no '{attribute[:80]}'", where=where, found=path)
        thing = getattr(thing, part)
    return thing


def version_of(name: str, where: str = "") -> str:
    """The `version` that an outside entry carries, as text; empty for a built-in one and for one without. `where`: the
    key that names it, for a refusal."""
    if not is_outside(name):
        return ""
    entry = import_entry(name, where=where or name)
    version = getattr(entry, "version", None)
    if version is not None and not isinstance(version, str | int | float):
        raise BreachError(
            f"{name}, from {source_file(entry)}, has a `version` that is no version",
            where=where,
            found=version,
            allowed="a text or a number, as an attribute of the entry itself",
        )
    return "" if version is None else str(version)


def source_file(thing: object) -> str:
    """The file that an entry was written in; `an unknown file` where Python cannot tell."""
    try:
        target: Any = thing if inspect.isroutine(thing) or isinstance(thing, type) else type(thing)
        return inspect.getsourcefile(target) or "an unknown file"
    except TypeError:
        return "an unknown file"


@cache
def source_digest(name: str) -> str:
    """16 digits of the SHA-256 of the file that an outside entry was written in, with those of the user's own that it
    imports; empty where the first cannot be read."""
    entry = import_entry(name, where=name)
    try:
        own = Path(source_file(entry)).read_bytes()
        others = own_sources(name.partition(":")[0])
        said = [f"{module} {digest_of(file.read_bytes())}" for module, file in sorted(others.items())]
    except OSError:
        return ""
    return digest_of(own if len(said) < 2 else "\n".join(said), 16)


def identity_of(name: str) -> str:
    """What tells an outside entry from another of its name: `version <v>` where it carries one, else `source <16
    digits>`, or `source unknown` where its file cannot be read. Empty for a built-in entry."""
    if not is_outside(name):
        return ""
    version = version_of(name)
    return f"version {version}" if version else f"source {source_digest(name) or 'unknown'}"


def identities_in(entries: object) -> dict[str, str]:
    """What a row's `entries` say (a JSON object: name → identity); nothing where a foreign row has none to read."""
    try:
        told = json.loads(entries) if isinstance(entries, str) else {}
    except ValueError:
        return {}
    return {name: str(said) for name, said in told.items()} if isinstance(told, dict) else {}


def versions_in(entries: object) -> dict[str, str]:
    """Of a row's `entries` those that carry a version, as a trial's `versions`."""
    told = identities_in(entries).items()
    return {name: said.removeprefix("version ") for name, said in told if said.startswith("version ")}


OPTIMIZERS = Seam(
    "optimizer",
    "training.optimizer",
    {
        "adamw": "hptransfer.training.optimizers.adamw:AdamW",
        "sgd": "hptransfer.training.optimizers.sgd:SGD",
    },
    promises=("table", "moments", "numbers", "update", "torch_optimizer"),
)
TASKS = Seam(
    "task",
    "task",
    {"language": "hptransfer.tasks.language:Language"},
    promises=(
        "unit",
        "open",
        "model_arguments",
        "batch",
        "held_out",
        "inputs",
        "loss",
        "check_output",
        "chance",
        "tokens",
    ),
)
MODELS = Seam(
    "model",
    "model.factory",
    {"gpt": "hptransfer.tasks.models.gpt:GPT", "mlp": "hptransfer.tasks.models.mlp:MLP"},
)
METHODS = Seam(
    "sparsity method",
    "sparsity.method",
    {"static": "hptransfer.sparsity.methods.static:Static"},
    promises=("every", "first_mask", "next_mask", "rule_density"),
)
TRAINERS = Seam(
    "trainer",
    "trainer",
    {"packs": "hptransfer.training.packs:Packs"},
    promises=("train", "resources", "cost", "together"),
    adapt="hptransfer.training.trainer:as_trainer",
)
AXES = Seam(
    "swept axis",
    "grid.sweep",
    {
        "lr": "hptransfer.study.axes:LR",
        "init_std": "hptransfer.study.axes:INIT_STD",
        "weight_decay": "hptransfer.study.axes:WEIGHT_DECAY",
        "alpha_input": "hptransfer.study.axes:ALPHA_INPUT",
        "alpha_output": "hptransfer.study.axes:ALPHA_OUTPUT",
        "lr_embedding": "hptransfer.study.axes:LR_EMBEDDING",
        "lr_readout": "hptransfer.study.axes:LR_READOUT",
        "lr_vector": "hptransfer.study.axes:LR_VECTOR",
    },
    promises=("name", "label", "at_base", "put"),
)
SCALED = Seam(
    "scaled axis",
    "grid",
    {
        "density": "hptransfer.study.axes:DENSITY",
        "width": "hptransfer.study.axes:WIDTH",
        "depth": "hptransfer.study.axes:DEPTH",
    },
    promises=("name", "label", "grid_key", "at_base"),
)
EXECUTORS = Seam(
    "executor",
    "--executor",
    {
        "local": "hptransfer.execute.local:LocalExecutor",
        "ray": "hptransfer.execute.ray:RayExecutor",
        "tune": "hptransfer.execute.tune:TuneExecutor",
    },
)
OBSERVERS = Seam(
    "observer",
    "--observe",
    {
        "terminal": "hptransfer.execute.terminal:Terminal",
        "page": "hptransfer.drive.page_observer:PageObserver",
    },
    promises=("started", "counted", "stored", "message", "finished"),
)
