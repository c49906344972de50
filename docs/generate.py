"""Write the generated pages: `python docs/generate.py`, or with `--check` say which are stale (exit 1).

Generated: the study file reference from the schema, the rule tables from the rules, the results schema from the
store, the import picture from the sources.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from import_graph import module_imports, room_imports  # noqa: E402
from import_picture import picture  # noqa: E402

from hptransfer.scaling.rules_doc import with_table  # noqa: E402
from hptransfer.store.columns import BEFORE, CURVE_SCHEMA, SCHEMA, SCHEMA_VERSION  # noqa: E402
from hptransfer.study.study import Study  # noqa: E402

ROOT = HERE.parent


def study_reference() -> str:
    """The page on study files, a table a section."""
    parts = [
        "# The study file",
        "Generated from `hptransfer/study/study.py`; do not edit by hand.",
        "A study file is YAML. Unknown keys, wrong types and values out of range are refused, and the message names the"
        " field, what was found and what is allowed. Numbers may be written `0.01`, `1e-3`, `2^-7` or `1/16`; an axis"
        " is a list or a range in octaves, `{octaves: [-10, -3], step: 0.5}`. Any key can be overridden on the command"
        " line: `--set grid.widths=[64,128]`. `hptransfer init my.yaml` writes a commented file to start from.",
    ]
    parts += _sections(Study, "")
    return "\n\n".join(parts) + "\n"


def _sections(model: type[BaseModel], prefix: str) -> Iterator[str]:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, info in model.model_fields.items():
        key = f"{prefix}{name}"
        below = _model_in(info.annotation)
        if below is not None:
            inner.append((key, below))
        default = "" if below is not None else _default(info)
        meaning = (info.description or "").replace("|", "\\|")
        lines.append(f"| `{key}` | {default} | {_choices(info)}{meaning} |")
    title = f"## `{prefix.rstrip('.')}`" if prefix else "## The top level"
    yield title
    yield " ".join((model.__doc__ or "").split())
    yield "\n".join(lines)
    for key, below in inner:
        yield from _sections(below, f"{key}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model a field holds, directly, optionally, or as the items of a tuple or the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None


def _choices(info: FieldInfo) -> str:
    """The words a field may hold, where its description does not name them all."""
    if typing.get_origin(info.annotation) is not Literal:
        return ""
    words = typing.get_args(info.annotation)
    if all(f"`{word}`" in (info.description or "") for word in words):
        return ""
    return "One of " + ", ".join(f"`{word}`" for word in words) + ". "


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True) if not info.is_required() else PydanticUndefined
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ("", (), {}):
        return "—"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def schema_markdown() -> str:
    """The page on what a results folder holds, a table for trials and one for curves."""
    lines = [
        "# Results schema",
        "",
        f"Version {SCHEMA_VERSION}. Generated from `hptransfer/store/columns.py`; do not edit by hand.",
        "",
        "A results folder holds `trials/*.parquet`, one row per trial, and `curves/*.parquet`, one row per point of a",
        "learning curve. Every file is an ordinary Parquet file. A file is never changed once written: its name ends",
        "in the first 16 digits of the SHA-256 of its bytes, so damage is noticed: every command that reads rows names",
        "a damaged file and leaves its rows out. When two files hold the same `trial_id` (or `trial_id` and `step`)",
        "the first by file name counts.",
        "",
        'A newer file is refused. An older one is read with what it lacks filled in: text "", floats NaN, else null,',
        f"except {', '.join(f'`{name}`: `{value}`' for name, value in BEFORE.items())}.",
        "",
        "A folder of Parquet files that did not come from here is read too, and named as unverified: no digests, no",
        "schema version, only the columns.",
    ]
    for title, schema in (("Trials", SCHEMA), ("Curves", CURVE_SCHEMA)):
        lines += ["", f"## {title}", "", "| column | type | meaning |", "|---|---|---|", *_columns(schema)]
    return "\n".join(lines) + "\n"


def _columns(schema: Any) -> Iterator[str]:
    for field in schema:
        kind = f"{field.type}, may be null" if field.nullable else str(field.type)
        yield f"| `{field.name}` | {kind} | {field.metadata[b'description'].decode()} |"


def pages() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    fresh = {
        HERE / "study-file.md": study_reference(),
        HERE / "results-schema.md": schema_markdown().rstrip() + "\n",
        HERE / "imports.svg": picture(room_imports(module_imports(ROOT / "hptransfer"))),
    }
    for path in (ROOT / "README.md", HERE / "rules.md"):
        fresh[path] = with_table(path.read_text(encoding="utf-8"), where=path.name)
    return fresh


def main() -> int:
    """Write what is stale, or with `--check` name it."""
    stale = [
        (path, text) for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        name = path.relative_to(ROOT)
        if "--check" in sys.argv:
            print(f"{name} is stale; run: python docs/generate.py", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{name}: written")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
