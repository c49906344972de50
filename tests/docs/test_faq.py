"""Every message that the FAQ explains is one that the program can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from markdown_pages import ROOT, blocks

SEPARATORS = r"…|; found |; allowed: |; |: |\. |, |\d+|'\w+'|\n"
"""What stands between the fixed words of a message: values, and the joints of `InputError`."""
EXAMPLES = ("my.yaml", "/home/me/mymodel.py:", "is not defined", "name", "NameError")
"""What in a quoted message is an example's own."""


def literals() -> list[str]:
    """Every string of the sources, with … where a value is put in."""
    found: list[str] = []
    for file in (ROOT / "hptransfer").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(_part(value) for value in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def _part(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else "…"


def quoted() -> Iterator[str]:
    """The messages of the FAQ: its text blocks, and the first column of its table of reasons."""
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    for block in blocks(page):
        if block.language == "text":
            yield from block.text.splitlines()
    yield from re.findall(r"^\| `([^`]+)`", page, flags=re.M)


def pieces(message: str) -> list[str]:
    """The fixed words of a message, long enough to be told."""
    parts = (part.strip(" .,()") for part in re.split(SEPARATORS, message))
    return [part for part in parts if len(part) > 3 and part not in EXAMPLES]


VALUES = re.compile(r"\b(?:\w+[._][\w.]*|supar|over|width|LRs?|high|NameError)\b|…s?")
"""A place (`grid.widths`, `model.factory`), a rule, an axis, an exception's name are values, not words."""


def test_every_message_of_the_faq_can_be_said() -> None:
    said = "\n".join(map(_words, literals()))
    wanted = {_words(piece) for message in quoted() for piece in pieces(message)} - {""}
    assert len(wanted) > 40
    assert sorted(piece for piece in wanted if not _said(piece, said)) == []


def _words(text: str) -> str:
    """The text without its values."""
    return " ".join(VALUES.sub(" ", text).split())


def _said(piece: str, said: str) -> bool:
    """Whether the piece stands in the sources, whole or as the parts of two messages put together."""
    words = piece.split()
    cuts = [(" ".join(words[:k]), " ".join(words[k:])) for k in range(1, len(words))]
    return piece in said or any(first in said and second in said for first, second in cuts)


def test_pieces_are_the_fixed_words() -> None:
    assert pieces("data.path: no such file; found …; allowed: an existing file") == [
        "data.path",
        "no such file",
        "an existing file",
    ]
