"""One error for a broken rule: which rule, which entry, from which file, what was found."""

from __future__ import annotations

import pytest
import torch

from hptransfer.common.seams import AXES, OPTIMIZERS, TRAINERS
from hptransfer.testing.contract import ContractError, Entry, entry_of, expect, hold, random_numbers_untouched

ENTRY = Entry("optimizer", "lab.lion:Lion", "/lab/lion.py", object())


def it_is_small(entry: object, limit: int) -> None:
    """It is smaller than the
    limit."""
    expect(limit > 5, f"a limit of {limit}")


def it_raises(entry: object, limit: int) -> None:
    """It comes through."""
    raise KeyError("beta3")


def test_every_rule_is_asked_and_one_that_holds_says_nothing() -> None:
    asked: list[object] = []
    hold(ENTRY, (it_is_small, lambda *given: asked.append(given)), 6)
    assert asked == [(ENTRY.thing, 6)]


def test_a_broken_rule_is_one_sentence_with_its_entry_file_and_finding() -> None:
    with pytest.raises(AssertionError) as caught:
        hold(ENTRY, (it_is_small, it_raises), 5)
    assert str(caught.value) == (
        "optimizer 'lab.lion:Lion', from /lab/lion.py, breaks a rule of its seam: It is smaller than the limit."
        " Found: a limit of 5."
    )
    assert isinstance(caught.value, ContractError)
    assert caught.value.__cause__ is None


def test_an_entry_that_raises_breaks_the_rule_it_was_held_to_and_the_cause_is_kept() -> None:
    with pytest.raises(ContractError, match=r"It comes through. Found: it raised KeyError: 'beta3'") as caught:
        hold(ENTRY, (it_raises,), 5)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_entry_is_found_by_name_by_class_and_as_it_is() -> None:
    by_name = entry_of(OPTIMIZERS, "sgd")
    assert by_name.file.endswith("hptransfer/training/optimizers/sgd.py")
    kind = type(by_name.thing)
    for given in (kind, by_name.thing):
        found = entry_of(OPTIMIZERS, given)
        assert isinstance(found.thing, kind)
        assert (found.name, found.file) == ("hptransfer.training.optimizers.sgd:SGD", by_name.file)


def test_an_object_without_what_its_seam_promises_is_named_with_what_it_lacks() -> None:
    class Half:
        name, label = "half", "half"

    with pytest.raises(
        ContractError, match=r"Every swept axis has name, label, at_base, put\. .* lacks at_base, put"
    ) as at:
        entry_of(AXES, Half())
    assert at.value.file == __file__


def test_a_name_that_leads_nowhere_says_so() -> None:
    with pytest.raises(ContractError, match=r"'no_such_lab:Trainer'.*cannot import the module 'no_such_lab'"):
        entry_of(TRAINERS, "no_such_lab:Trainer")


def test_drawing_from_the_global_generator_is_found() -> None:
    assert random_numbers_untouched(lambda: torch.rand(2, generator=torch.Generator().manual_seed(0)).shape) == (2,)
    with pytest.raises(Exception, match="global random generator"):
        random_numbers_untouched(lambda: torch.rand(2))
