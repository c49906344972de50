"""How a conformance suite says what it found: rules are functions, a broken one is one error that names everything.

A rule takes the entry under test and what it is tried on, and calls `expect`. Its docstring is the sentence that holds
for every entry of the seam, and the one that a person reads when it does not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from hptransfer.common.errors import InputError
from hptransfer.common.seams import Seam, source_file

__all__ = ["ContractError", "Entry", "entry_of", "expect", "hold", "random_numbers_untouched", "written_entry"]


class ContractError(AssertionError):
    """An entry breaks a rule of its seam. The message says which rule, which entry, from which file, what was found."""

    def __init__(self, kind: str, name: str, file: str, rule: str, found: str) -> None:
        self.kind, self.name, self.file, self.rule, self.found = kind, name, file, rule, found
        super().__init__(f"{kind} '{name}', from {file}, breaks a rule of its seam: {rule} Found: {found}")


class _BrokenError(Exception):
    """What a rule found."""


@dataclass(frozen=True)
class Entry:
    """What is under test, and where it comes from."""

    kind: str
    name: str
    file: str
    thing: Any


def written_entry(seam: Seam, given: object) -> Entry:
    """The entry as it was written, of a name as a study file has it or of the thing itself; a class is not called."""
    if not isinstance(given, str):
        written = given if isinstance(given, type) or inspect.isroutine(given) else type(given)
        return Entry(seam.kind, f"{written.__module__}:{written.__qualname__}", source_file(given), given)
    try:
        thing = seam.find(given)
    except InputError as error:
        rule = f"Every {seam.kind} can be found by its name."
        raise ContractError(seam.kind, given, "an unknown file", rule, str(error)) from error
    return Entry(seam.kind, given, source_file(thing), thing)


def entry_of(seam: Seam, given: object) -> Entry:
    """The entry as it is used. A promise that it lacks is a broken rule."""
    written = written_entry(seam, given)
    try:
        thing = seam.make(written.name, written.thing)
    except InputError as error:
        rule = f"Every {seam.kind} has {', '.join(seam.promises)}."
        raise ContractError(written.kind, written.name, written.file, rule, str(error)) from error
    return replace(written, thing=thing)


def hold(entry: Entry, rules: Sequence[Callable[..., None]], *tried_on: object) -> None:
    """Hold an entry to its rules in order; raises ContractError for the first that is broken or that the entry fails
    to come through."""
    for rule in rules:
        sentence = " ".join((rule.__doc__ or rule.__name__).split())
        try:
            rule(entry.thing, *tried_on)
        except _BrokenError as broken:
            raise ContractError(entry.kind, entry.name, entry.file, sentence, f"{broken}.") from None
        except Exception as error:  # an outside entry may raise anything
            found = f"it raised {type(error).__name__}: {error}"
            raise ContractError(entry.kind, entry.name, entry.file, sentence, found) from error


def expect(holds: object, found: str) -> None:
    """Go on where the rule holds; otherwise end it with what was found."""
    if not holds:
        raise _BrokenError(found)


def random_numbers_untouched(call: Callable[[], Any]) -> Any:
    """What a call returns; it may not draw from torch's global generator, which would tie it to what ran before."""
    before = torch.get_rng_state()
    result = call()
    expect(torch.equal(before, torch.get_rng_state()), "it draws from torch's global random generator")
    return result
