"""The schema's refusals in plain words: field path, what was found, what is allowed, the nearest valid key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from hptransfer.common.errors import InputError, did_you_mean, nearest

__all__ = ["field_path", "first_refusal", "validated"]

_Schema = TypeVar("_Schema", bound=BaseModel)

_ALLOWED = {
    "int_type": "a whole number",
    "float_type": "a number, such as 0.01, 1e-3, 2^-7 or 1/16",
    "finite_number": "a finite number",
    "string_type": "text (put numbers and dates in quotes)",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a section of key: value lines",
    "model_type": "a section of key: value lines",
}
_LIMITS = {
    "greater_than": ("gt", "above {}"),
    "greater_than_equal": ("ge", "{} or above"),
    "less_than": ("lt", "below {}"),
    "less_than_equal": ("le", "at most {}"),
    "too_short": ("min_length", "at least {} value(s)"),
    "too_long": ("max_length", "at most {} values"),
}


def validated(schema: type[_Schema], tree: object) -> _Schema:
    """A piece of a study from plain values; the first thing that is wrong is refused."""
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        raise first_refusal(error, schema) from None


def first_refusal(error: ValidationError, schema: type[BaseModel]) -> InputError:
    """The first thing that is wrong, preferring an unknown key: what follows from it is noise."""
    errors = error.errors(include_url=False)
    chosen = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    place: Sequence[Any] = [part for part in chosen["loc"] if part != "[key]"]
    kind, context = chosen["type"], chosen.get("ctx", {})
    where, found = field_path(place), chosen.get("input")
    if kind == "extra_forbidden":
        return _unknown_key(place, schema)
    if kind == "missing":
        return InputError("is required", where=where)
    if kind == "value_error":
        return InputError(str(context["error"]), where=where)
    if kind == "literal_error":
        allowed = str(context["expected"])
        hint = did_you_mean(nearest(found, [word.strip("'") for word in allowed.replace(" or ", ", ").split(", ")]))
        return InputError("is not one of the choices", where=where, found=found, allowed=allowed, hint=hint)
    if kind == "string_pattern_mismatch":
        described = _description(place, schema)
        return InputError("is not of the right form", where=where, found=found, allowed=described or context["pattern"])
    if kind == "no_such_entry":
        refused: InputError = context["seam"].refusal(found, where)
        return refused
    if kind in _LIMITS:
        name, text = _LIMITS[kind]
        problem = "is empty" if kind == "too_short" else "is out of range"
        limit = context[name]
        return InputError(
            problem, where=where, found=found, allowed=text.format(f"{limit:g}" if limit < 1e6 else limit)
        )
    return InputError("is of the wrong kind", where=where, found=found, allowed=_ALLOWED.get(kind, chosen["msg"]))


def field_path(place: Sequence[Any]) -> str:
    """`grid.lr[2]` from `("grid", "lr", 2)`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _unknown_key(place: Sequence[Any], schema: type[BaseModel]) -> InputError:
    *parents, key = place
    models = list(_models_at(parents, schema))
    known = [name for model in models for name in model.model_fields]
    # Or a key one section off, such as `widths` beside `grid`.
    elsewhere = (path for path in _all_paths(schema) if path.rpartition(".")[2] == key)
    hint = did_you_mean(nearest(key, known) or next(elsewhere, ""))
    return InputError("unknown key", where=field_path(place), found=key, allowed=", ".join(known), hint=hint)


def _models_at(place: Sequence[Any], schema: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The schema classes that the value at `place` may have."""
    if not place:
        yield schema
        return
    head, *rest = place
    field = schema.model_fields.get(str(head))
    if field is None:
        return
    inner = list(_models_in(field.annotation))
    while rest and not any(rest[0] in model.model_fields for model in inner):
        rest = rest[1:]  # a place in a list, or a key of a mapping
    for model in inner:
        yield from _models_at(rest, model)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _all_paths(schema: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in schema.model_fields.items():
        yield prefix + name
        for model in _models_in(field.annotation):
            yield from _all_paths(model, f"{prefix}{name}.")


def _description(place: Sequence[Any], schema: type[BaseModel]) -> str:
    *parents, name = place
    fields = (model.model_fields.get(name) for model in _models_at(parents, schema))
    return next((field.description or "" for field in fields if field), "")
