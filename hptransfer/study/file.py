"""A study file: YAML and `--set` overrides in, a `Study` out, or one clear `InputError`.

The message names the file, the field, what was found and what is allowed, and for a slip of the pen the nearest
valid key. What a value must be by itself the schema says (`hptransfer.study.study`); whether the parts of a study fit
together, and the models and rules it names, is asked of `hptransfer.trials.checks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hptransfer.common.errors import InputError
from hptransfer.study.refusals import validated
from hptransfer.study.strict_yaml import parse_yaml, write_yaml
from hptransfer.study.study import Study

__all__ = ["apply_overrides", "dump_study", "placed_in", "read_study", "study_of", "with_overrides"]

MOST_BYTES = 1_000_000
BY_PATTERN = ("model.roles", "model.init")
"""Sections whose keys are patterns of parameter names."""
DATA_PATHS = ("path", "validation_path")


def read_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """The study in the file at `path` with `overrides` (`grid.widths=[64,128]`) applied.

    Data paths in the file are taken from the file's own folder, those in overrides from the working folder.
    """
    tree = _read(Path(path))
    _anchor(tree, Path(path).parent)
    changed = apply_overrides(tree, overrides)
    try:
        return study_of(changed)
    except InputError as error:
        raise placed_in(path, overrides, error) from None


def study_of(tree: Mapping[str, Any]) -> Study:
    """A study from plain values; the first thing that is wrong is refused."""
    return validated(Study, tree)


def with_overrides(study: Study, overrides: Mapping[str, Any]) -> Study:
    """The study with dotted keys set, validated anew. Refuses keys that the schema does not know."""
    if not overrides:
        return study
    tree = study.model_dump()
    for dotted, value in overrides.items():
        *path, last = _keys(dotted)
        node = tree
        for key in path:
            if not isinstance(node.get(key), dict):
                raise InputError("no such setting", where=dotted, hint="write it as section.key, e.g. training.decay")
            node = node[key]
        node[last] = value
    return study_of(tree)


def apply_overrides(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`tree` with every `dotted.key=value` set; values are YAML, validated later like those of the file."""
    changed = dict(tree)
    for override in overrides:
        key, separator, text = override.partition("=")
        keys = _keys(key.strip())
        if not separator or not all(keys):
            raise InputError("is not an override", where=f"--set {override[:80]}", allowed="dotted.key=value")
        try:
            value = parse_yaml(text)
        except InputError as error:
            raise error.at(f"--set {key.strip()}") from None
        if keys[0] == "data" and keys[-1] in DATA_PATHS and len(keys) == 2 and isinstance(value, str):
            value = _absolute(Path(), value)
        _set(changed, keys, value)
    return changed


def _keys(dotted: str) -> list[str]:
    """The keys on the way to a setting. A parameter's pattern has dots of its own: `model.roles.*.out.weight`."""
    keys = dotted.split(".")
    return keys if ".".join(keys[:2]) not in BY_PATTERN else [*keys[:2], *filter(None, [".".join(keys[2:])])]


def dump_study(study: Study) -> str:
    """The study in full as YAML, defaults written out; `read_study` reads it back to an equal study."""
    return write_yaml(study.model_dump(mode="json"))


def _read(path: Path) -> dict[str, Any]:
    """The file's mapping; its size is looked at before its content."""
    try:
        if not path.exists():
            there = Path("sweeps") / f"{path.stem}.yaml"
            hint = f"did you mean {there}?" if there.exists() and there != path else ""
            raise InputError("no such file", where=str(path), allowed="a YAML study file", hint=hint)
        if not path.is_file():
            raise InputError("is not a file", where=str(path), allowed="a YAML study file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"cannot be read: {error}", where=repr(str(path))) from None
    if len(content) > MOST_BYTES:
        raise InputError(
            "is too large for a study file",
            where=str(path),
            found=f"{path.stat().st_size:,} bytes",
            allowed=f"at most {MOST_BYTES:,} bytes",
        )
    try:
        tree = parse_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path)) from None
    except InputError as error:
        raise error.at(str(path)) from None
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else tree
        raise InputError("is not a study", where=str(path), found=found, allowed="a YAML mapping with at least `name`")
    return tree


def _anchor(tree: dict[str, Any], folder: Path) -> None:
    data = tree.get("data")
    if isinstance(data, dict):
        tree["data"] = data | {
            key: _absolute(folder, data[key]) for key in DATA_PATHS if isinstance(data.get(key), str)
        }


def _absolute(folder: Path, path: str) -> str:
    """Workers run elsewhere, so a relative path is settled here. Nothing is resolved: links stay links."""
    try:
        return str(Path.cwd() / folder / Path(path).expanduser())
    except (RuntimeError, OSError):  # no such user, or the working folder is gone
        return path


def _set(tree: dict[str, Any], keys: Sequence[str], value: object) -> None:
    """Set a dotted key; the sections on the way are copied, and created where missing."""
    node = tree
    for place, key in enumerate(keys[:-1]):
        below = node.get(key)
        if below is not None and not isinstance(below, dict):
            raise InputError(
                f"'{'.'.join(keys[: place + 1])}' is a value, not a section",
                where=f"--set {'.'.join(keys)}",
                found=below,
            )
        node[key] = dict(below or {})
        node = node[key]
    node[keys[-1]] = value


def placed_in(path: str | Path, overrides: Sequence[str], error: InputError) -> InputError:
    """The refusal with the file, or with the override that the field's value came from."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        if error.where == key or error.where.startswith((f"{key}.", f"{key}[")):
            return error.at("--set", " ")
    return error.at(str(path))
