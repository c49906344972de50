"""The Markdown of the project, taken apart: blocks, links, headings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

COMMANDS = (
    "hptransfer",
    "make",
    "ray",
    "git",
    "pip",
    "python",
    "eval",
    "_HPTRANSFER_COMPLETE",
    "cd",
    "source",
    "export",
)
"""What the first word of an indented block may be for it to be read as commands and not as a sketch."""


@dataclass(frozen=True)
class Block:
    """A fenced or indented block: its language (`sh` for indented commands, else empty), text and first line."""

    language: str
    text: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block, and every indented block outside fences, in order."""
    lines = text.splitlines()
    i = 0
    while i < len(lines):
        fence = re.match(r"^( *)(```+)(\w*)", lines[i])
        if fence:
            start = i + 1
            i = start
            while not lines[i].lstrip().startswith(fence[2]):
                i += 1
            yield Block(fence[3], textwrap.dedent("\n".join(lines[start:i])) + "\n", start + 1)
        elif lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
            start = i
            while i + 1 < len(lines) and lines[i + 1].startswith("    "):
                i += 1
            body = textwrap.dedent("\n".join(lines[start : i + 1])) + "\n"
            yield Block("sh" if body.startswith(COMMANDS) else "", body, start + 1)
        i += 1


def prose(text: str) -> str:
    """The text without its fenced blocks and inline code, where links are links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))


def links(text: str) -> list[str]:
    """Targets of links and images, those of HTML tags among them."""
    plain = prose(text)
    return re.findall(r"\]\(([^()\s]+(?:\([^()]*\))?)\)", plain) + re.findall(r'(?:src|href|srcset)="([^"]+)"', plain)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs name them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*?) *$", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S), flags=re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(re.sub(r" ", "-", plain))
    return found
