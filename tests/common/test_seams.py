"""Entries are found by name, built in or outside, and one message says what is wrong with one that is not right."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.common.errors import BreachError, InputError
from hptransfer.common.seams import Seam, import_entry, is_outside, source_file, version_of

LAB = """
class Whole:
    version = 3
    promised = 1

class Half:
    pass

class Greedy:
    promised = 1
    def __init__(self, more): ...

value = "a text"
"""


@pytest.fixture
def seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seam:
    """A seam of one promise, with a lab of which every entry is named `a_lab:…`."""
    (tmp_path / "a_lab.py").write_text(LAB)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "a_lab", raising=False)
    return Seam("gadget", "study.gadget", {"shipped": "a_lab:Whole"}, promises=("promised",))


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("a:b", True),
        ("a.b.c:D.e", True),
        ("_a:_b", True),
        ("adamw", False),
        ("a:", False),
        (":b", False),
        ("a b:c", False),
    ],
)
def test_an_outside_name_is_told_by_its_form(name: str, outside: bool) -> None:
    assert is_outside(name) is outside


def test_an_entry_is_made_once_per_process_and_anew_where_that_is_asked(seam: Seam) -> None:
    assert seam.get("a_lab:Whole") is seam.get("a_lab:Whole")
    assert seam.make("a_lab:Whole") is not seam.make("a_lab:Whole")
    assert type(seam.get("shipped")) is type(seam.get("a_lab:Whole"))
    assert seam.find("shipped") is type(seam.get("shipped"))


def test_what_was_written_can_be_given_in_place_of_a_name(seam: Seam) -> None:
    written = seam.find("a_lab:Whole")
    assert type(seam.make("anything", written)) is written
    assert seam.make("anything", written()).promised == 1


def test_a_name_that_is_neither_is_refused_with_the_nearest_that_is(seam: Seam) -> None:
    with pytest.raises(InputError) as refused:
        seam.get("shiped")
    assert str(refused.value) == (
        "study.gadget: no such gadget; found 'shiped'; allowed: shipped or package.module:name; did you mean 'shipped'?"
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a_lab:Half", "every gadget has promised, lacks promised"),
        ("a_lab:Greedy", "a class is called without arguments"),
    ],
)
def test_a_breach_says_which_rule_which_entry_and_from_which_file(
    seam: Seam, name: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(BreachError) as broken:
        seam.get(name)
    start = f"study.gadget: {name}, from {tmp_path / 'a_lab.py'}, breaks the contract of its seam: "
    assert str(broken.value).startswith(start)
    assert says in str(broken.value)


def test_a_module_or_a_name_that_is_not_there_is_told_apart(seam: Seam) -> None:
    with pytest.raises(InputError, match="cannot import the module 'no_such_lab'"):
        seam.get("no_such_lab:Whole")
    with pytest.raises(InputError, match="the module 'a_lab' has no 'Missing'"):
        seam.get("a_lab:Missing")


def test_versions_and_files_of_entries(seam: Seam, tmp_path: Path) -> None:
    assert version_of("a_lab:Whole") == "3"
    assert version_of("a_lab:Half") == ""
    assert version_of("shipped") == ""
    whole = import_entry("a_lab:Whole", where="here")
    assert source_file(whole) == source_file(whole()) == str(tmp_path / "a_lab.py")
    assert source_file("a text") == "an unknown file"


def test_a_module_that_leaves_while_it_is_imported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaving_module.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"cannot import the module 'leaving_module' \(it calls sys\.exit\(0\)\)"):
        import_entry("leaving_module:x", where="task")


def test_a_version_that_is_new_in_every_process_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fresh_versions.py").write_text("class Fresh:\n    version = object()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        BreachError, match=r"task: fresh_versions:Fresh, from .*fresh_versions\.py, has a `version` that"
    ):
        version_of("fresh_versions:Fresh", "task")


def test_a_refusal_is_short_however_long_the_name() -> None:
    with pytest.raises(InputError) as refused:
        import_entry("a" * 10_000 + ":x", where="task")
    assert len(str(refused.value)) < 700
